"""The same journey written the usual way: a message, a transaction, a publish with its confirm.

What the two peers share is what is not compared: the steps of the journey on SQLAlchemy Core, with our
contracts, our matching and our SQLite settings. Each peer's module is its framework's plumbing alone.
"""
