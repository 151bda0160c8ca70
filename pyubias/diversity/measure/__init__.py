"""Measures of the structural and conformational diversity of data sets."""
