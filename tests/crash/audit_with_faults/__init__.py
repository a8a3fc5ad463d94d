"""The audit service on a publication that stops where a test wants it to: `python -m runtime` runs it."""
