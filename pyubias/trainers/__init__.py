"""Potentials that other packages train: their input, their process, and what comes out of it."""
