"""The vault: keeps sealed cases, and releases each to the organisation that accepted it, nobody else.

It has no public door, and its process is the only one that can read the hub's custody key.
"""
