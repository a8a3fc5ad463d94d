"""The rows that a closed referral leaves: their tables, how to find them, and when they are deleted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from sqlalchemy import MetaData, Table

from runtime.messaging.inbox import KEPT

# All of our services forget after the same time: see `forget` in each of them.
FORGOTTEN_AFTER: Final[dt.timedelta] = KEPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One table. referral: the column with the referral's id, or moment: when a row was written.

    numbered: whether a column numbers the rows; then they are in the order of that moment. forgotten: the
    moment from which a row is kept for a month; None where rows stay.
    """

    table: str
    referral: str | None = None
    moment: str | None = None
    numbered: bool = False
    forgotten: str | None = None


_INBOX: Final = Shape(table="inbox", moment="received_at", forgotten="received_at")

SHAPES: Final[Mapping[str, tuple[Shape, ...]]] = {
    "directory": (),
    "intake": (
        Shape(table="submissions", referral="referral_id"),
        Shape(table="offers", referral="referral_id"),
        _INBOX,
    ),
    "routing": (
        Shape(table="referrals", referral="id"),
        Shape(table="offers", referral="referral_id"),
        Shape(table="decisions", referral="referral_id"),
        Shape(table="timeline", referral="referral_id", moment="time", numbered=True),
        _INBOX,
    ),
    "vault": (Shape(table="custodies", referral="referral_id"), _INBOX),
    "delivery": (
        # Receipts name no referral of their own.
        Shape(table="mailbox_messages", moment="queued_at", numbered=True, forgotten="acknowledged_at"),
        Shape(table="case_letters", referral="referral_id", forgotten="closed_at"),
        _INBOX,
    ),
    "audit": (Shape(table="closures", referral="referral_id"), _INBOX),
}

# The log itself is not copied row by row: it is signed, and each entry has its own place in the tree.
LOG: Final = frozenset(
    {"head", "entries", "organizations", "openings", "facets", "nodes", "publication", "checks"}
)
# Made in another way: `history` writes keys as clients do that repeat nothing.
MADE: Final[Mapping[str, frozenset[str]]] = {
    "intake": frozenset({"idempotency_keys"}),
    "routing": frozenset({"observations"}),
    "audit": LOG,
}
# Empty once a referral is closed.
EMPTY: Final = frozenset({"outbox", "retries", "sealed_cases", "suspended_acceptors", "witnesses", "unfiled"})
# What does not grow with the referrals.
STANDING: Final = frozenset({"replica"})


def metadata(service: str) -> MetaData:
    """Return the tables of a service."""
    found: MetaData = import_module(f"services.{service}.adapters.tables").METADATA
    return found


def tables(service: str) -> Mapping[str, Table]:
    """By name."""
    return metadata(service).tables


def unaccounted(service: str) -> set[str]:
    """Return the tables that have no shape here."""
    if service == "directory":
        return set()
    known = {shape.table for shape in SHAPES[service]} | MADE.get(service, frozenset()) | EMPTY | STANDING
    return set(tables(service)) - known
