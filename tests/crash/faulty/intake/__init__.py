"""Intake, faulty: `python -m runtime tests.crash.faulty.intake`."""
