"""Intake's database tables and the adapters of its ports."""
