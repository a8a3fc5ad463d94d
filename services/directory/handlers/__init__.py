"""The directory's use cases: load, decide, store, and say what changed."""
