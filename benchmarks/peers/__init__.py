"""Peers: the same journey in the usual way, with a transaction and a confirmed publish per message.

What the two peers share is what is not compared: the steps of the journey on SQLAlchemy Core, with our
contracts, our matching and our SQLite settings. Each peer's module is its framework's plumbing alone.
"""
