"""The reports' reads in SQL."""
