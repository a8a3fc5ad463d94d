"""Routing's tables and the store behind its ports."""
