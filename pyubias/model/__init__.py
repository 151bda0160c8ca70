"""Models: from the edges of a structure to energies, features and uncertainties."""
