"""Molecules: the molecule that a structure is, and geometries of a molecule."""
