"""SQL adapters of the reports."""
