"""Applicability domain: how new a structure is, and error bars that account for it."""
