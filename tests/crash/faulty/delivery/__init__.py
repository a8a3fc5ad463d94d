"""Delivery, faulty: `python -m runtime tests.crash.faulty.delivery`."""
