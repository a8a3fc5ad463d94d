"""Peers: the same journey in the usual way, with a transaction and a confirmed publish per message.

The peers share the parts that are not compared: the steps of the journey on SQLAlchemy Core, with Kopuro's
contracts, matching and SQLite settings. The module of each peer holds only the code for its framework.
"""
