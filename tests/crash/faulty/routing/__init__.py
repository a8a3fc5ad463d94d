"""Routing, faulty: `python -m runtime tests.crash.faulty.routing`."""
