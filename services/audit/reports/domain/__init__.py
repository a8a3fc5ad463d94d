"""Statistics and stories. Pure."""
