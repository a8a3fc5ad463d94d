"""Comparison of the audit log with the services' databases."""
