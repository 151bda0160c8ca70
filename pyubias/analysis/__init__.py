"""Analysis: numbers from frames and predictions."""
