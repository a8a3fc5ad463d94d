"""A running hub against its published OpenAPI document."""
