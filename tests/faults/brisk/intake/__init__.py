"""Intake, brisk: `python -m runtime tests.faults.brisk.intake`."""
