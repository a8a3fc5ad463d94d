"""Vault, faulty: `python -m runtime tests.crash.faulty.vault`."""
