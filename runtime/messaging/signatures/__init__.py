"""Signatures of facts: each service signs what it publishes, and each consumer verifies the author."""
