"""Operators' work on routing: its policies, and its decisions computed again."""
