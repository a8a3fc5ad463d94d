"""Measurements: `python -m benchmarks`. Nothing here is shipped, and no figure is a test's assertion."""
