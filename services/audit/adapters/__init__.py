"""The log's tables and its signing key."""
