"""Models: energies, features and uncertainties from the edges of a structure."""
