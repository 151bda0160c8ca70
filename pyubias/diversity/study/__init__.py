"""Studies: a budget of labels shared between molecules and geometries."""
