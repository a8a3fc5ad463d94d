"""Statistics and stories as values. Pure."""
