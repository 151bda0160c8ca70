"""Models from elsewhere as model files of the contract."""
