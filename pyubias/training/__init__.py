"""Training: from labelled structures to a calibrated potential in a model file."""
