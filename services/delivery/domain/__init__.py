"""Delivery's pure decisions: recipients of facts, and the states of a message."""
