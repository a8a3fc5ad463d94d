"""The vault: keeps sealed cases and releases each only to the organisation that accepted it.

It has no public API, and its process is the only one that can read the hub's custody key.
"""
