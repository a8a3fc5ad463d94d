"""Intake's pure decisions: whether a submission is admitted, and the facts of an admission."""
