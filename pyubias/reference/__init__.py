"""References: one label of one structure."""
