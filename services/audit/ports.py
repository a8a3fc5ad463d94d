"""What the use cases need of the log's storage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from services.audit.domain.entry import Entry
from services.audit.domain.head import Head
from services.audit.domain.merkle import HashReader, Row
from services.audit.domain.search import Search


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEntry:
    """One entry on its way into the log, with what is kept beside its leaf.

    latest: the latest time up to this entry; organizations: those it is found by; salt, data: what opens
    the commitment.
    """

    index: int
    entry: Entry
    leaf: bytes
    latest: dt.datetime
    organizations: Sequence[str]
    salt: bytes
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLeaf:
    """A leaf as it lies in the log, and the columns by which it is found."""

    index: int
    leaf: bytes
    message_id: str
    type: str
    time: dt.datetime
    latest: dt.datetime
    referral_id: str | None


class Log(Protocol):
    """The log in the database. Every method works inside the caller's transaction."""

    def head(self, transaction: Connection) -> Head | None:
        """The head as committed, or as written in this transaction; None before the first one."""
        ...

    def found(self, transaction: Connection, head: Head) -> None:
        """Writes the first head, that of the empty log; does nothing when there is one."""
        ...

    def advance(self, transaction: Connection, head: Head, *, from_size: int) -> bool:
        """Replaces a head of `from_size` entries; False, and nothing changed, where it has another size.

        Of two transactions that start from one head at most one is given True and commits.
        """
        ...

    def known(self, transaction: Connection, message_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are in the log."""
        ...

    def add(self, transaction: Connection, entries: Sequence[NewEntry], rows: Sequence[Row]) -> None:
        """Writes entries, what is kept beside them, and the nodes they completed."""
        ...

    def leaves(self, transaction: Connection, start: int, stop: int) -> list[StoredLeaf]:
        """The leaves of `[start, stop)` that are there, by index."""
        ...

    def search(
        self, transaction: Connection, search: Search, *, start: int, stop: int, limit: int
    ) -> list[StoredLeaf]:
        """The first `limit` leaves of `[start, stop)` that match, by index."""
        ...

    def nodes(self, transaction: Connection) -> HashReader:
        """Reads node hashes. Raises Defect for a node that is not there."""
        ...
