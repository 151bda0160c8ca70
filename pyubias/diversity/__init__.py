"""Structural and conformational diversity: measure it in data sets, and learn what it buys.

Structural diversity is that of molecules, conformational diversity that of geometries of one
molecule. After "Role of Structural and Conformational Diversity for Machine Learning Potentials"
(2023), whose grids, models and numbers were not available: all defaults are this project's own.
"""
