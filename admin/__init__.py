"""Operators' tools for a hub: keys, dead letters, reconciliation. They need no sandbox."""
