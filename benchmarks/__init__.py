"""Benchmarks: `python -m benchmarks`. Not shipped, and no test asserts a measured figure."""
