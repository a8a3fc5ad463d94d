"""Signatures of facts: each service signs what it publishes, and each consumer checks who spoke."""
