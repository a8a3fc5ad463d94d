"""What an operator sees: metrics, structured logs, trace context, health. Never a person's data."""
