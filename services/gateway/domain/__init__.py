"""The gateway's pure decisions."""
