"""Structural and conformational diversity of data sets, and its effect on the errors of models.

Structural diversity is that of molecules, and conformational diversity that of the geometries of a
molecule. The studies follow "Role of Structural and Conformational Diversity for Machine Learning
Potentials" (2023), whose grids, models and numbers were not available: all defaults are this
project's own.
"""
