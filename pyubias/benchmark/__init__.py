"""Benchmarks: arms of campaigns compared at equal labels and at equal MD steps."""
