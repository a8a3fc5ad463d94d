"""What an operator does to a hub: keys, dead letters, reconciliation. Needs no sandbox."""
