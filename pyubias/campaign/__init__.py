"""Campaigns: the active-learning loop and the folder that it lives in."""
