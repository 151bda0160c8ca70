"""LAMMPS: one run of a walker, from its script to its frames."""
