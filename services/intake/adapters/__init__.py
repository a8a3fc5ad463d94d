"""Intake's tables and the store behind its port."""
