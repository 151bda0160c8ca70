"""Studies of a budget of labels that is shared by molecules and their geometries."""
