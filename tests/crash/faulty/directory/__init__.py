"""The directory, faulty: `python -m runtime tests.crash.faulty.directory`."""
