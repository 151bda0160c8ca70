"""Molecules: which one a structure is, and geometries of one."""
