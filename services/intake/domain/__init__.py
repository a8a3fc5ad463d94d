"""Intake's pure decisions: is this admitted, and what is said to the network when it is."""
