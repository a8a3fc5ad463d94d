"""Clients of one organisation: an earlier one has power over a later one, and never the other way round."""

from __future__ import annotations

from contracts.errors import Refused
from services.directory.handlers.ledger import Writing


def require_earlier(writing: Writing, client: str, other: str) -> None:
    """Check that a client may end or change another one of its principal. Each has power over itself.

    A thief of a client could otherwise lock its owner out, or get what the other one reads. Raises Refused
    `forbidden` unless `client` was registered before `other`.
    """
    if client == other:
        return
    times = writing.ledger.register.registered_at(writing.transaction, [client, other])
    if client in times and other in times and times[client] < times[other]:
        return
    raise Refused(
        "forbidden",
        f"The client {other} was not registered after the one that you use. Use an earlier client, or call "
        "the hub's operators.",
    )
