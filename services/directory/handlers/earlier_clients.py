"""Clients of one organisation: an earlier one has power over a later one, never the reverse."""

from __future__ import annotations

from contracts.errors import Refused
from services.directory.domain.client import Client
from services.directory.handlers.ledger import Writing


def require_earlier(writing: Writing, client: str, other: str) -> None:
    """Check that a client may end or change another one of its principal. Each has power over itself.

    A thief of a client could otherwise lock its owner out, or get what the other one reads. Raises Refused
    `forbidden` unless `client` comes before `other`.
    """
    if not has_power_over(writing, client, other):
        raise Refused(
            "forbidden",
            f"The client that you use does not come before {other} in the order of your organisation's "
            "clients. Use an earlier client, or call the hub's operators.",
        )


def has_power_over(writing: Writing, client: str, other: str) -> bool:
    """Return whether a client is the other one, or comes before it in the order of its organisation.

    The root client that operators have named is the first. The others follow in the order of registration;
    none of those that were registered together comes before another.
    """
    if client == other:
        return True
    register = writing.ledger.register
    places = register.registered(writing.transaction, [client, other])
    if client not in places or other not in places:
        return False
    known = register.standing(writing.transaction, Client, [client, other])
    if known[client].entry.root != known[other].entry.root:
        return known[client].entry.root
    return places[client] < places[other]
