"""Training: a calibrated potential in a model file from labelled structures."""
