"""Metrics, structured logs and trace context. None of them contains a person's data."""
