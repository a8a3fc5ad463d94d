"""Receipts that the authors of events will get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class DueReceipt:
    """Events of one author that are entries of every log of at least `size` entries.

    author: the service; digests: SHA-256 of each event's bytes, 32 bytes each.
    """

    size: int
    author: str
    digests: Sequence[bytes]


class DueReceipts(Protocol):
    """The receipts that authors will get. Every method works inside the caller's transaction."""

    def note(self, transaction: Connection, due: Sequence[DueReceipt]) -> None:
        """Add receipts, in the transaction that appends the entries."""
        ...

    def are_due(self, transaction: Connection, size: int) -> bool:
        """Return whether a published log of this size makes some of them due."""
        ...

    def take(self, transaction: Connection, size: int, limit: int) -> list[DueReceipt]:
        """Delete and return the oldest receipts that are due, up to `limit`.

        If two concurrent transactions commit, only one of them got the receipt.
        """
        ...
