"""Applicability domain: the novelty of a structure, and error bars that account for it."""
