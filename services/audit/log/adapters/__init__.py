"""Adapters of the log: SQL, publication on disk, witnesses over HTTP."""
