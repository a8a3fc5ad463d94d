"""Entries and what is stored beside them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.quick_init import quick_init
from runtime.messaging.inbox import EventIdentity
from services.audit.log.domain.entry import Entry
from services.audit.log.domain.facets import Facet
from services.audit.log.domain.head import Head
from services.audit.log.domain.leaf import fields_of
from services.audit.log.domain.merkle import HashReader, Row
from services.audit.log.domain.retention import Closing
from services.audit.log.domain.search import Search


# Not frozen: every append makes one, and a frozen one takes three times as long to make.
@dataclass(kw_only=True, slots=True)
class NewEntry:
    """An entry to append, with the data stored beside its leaf.

    head: the salt and the head that the leaf commits to; latest: the latest time up to this entry;
    organizations, facets: its search keys; salt, content: the opening of the commitment to the data, as the
    canonical JSON that was hashed.
    """

    index: int
    entry: Entry
    leaf: bytes
    head: bytes | None
    latest: dt.datetime
    organizations: Sequence[str]
    facets: Sequence[Facet]
    salt: bytes
    content: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLeaf:
    """A leaf as stored, with its search columns. head: None for formats 1 and 2 (`domain.leaf`)."""

    index: int
    leaf: bytes
    head: bytes | None
    message_id: str
    type: str
    time: dt.datetime
    latest: dt.datetime
    referral_id: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """The entry's fields (`domain.leaf.fields_of`). Raises ValueError unless the head is the leaf's."""
        return fields_of(self.leaf, self.head)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedLeaf:
    """A leaf with its openings. head: None for formats 1 and 2. salt, data: both None once erased."""

    index: int
    leaf: bytes
    head: bytes | None
    salt: bytes | None
    data: Any

    @property
    def fields(self) -> dict[str, Any]:
        """The entry's fields (`domain.leaf.fields_of`). Raises ValueError unless the head is the leaf's."""
        return fields_of(self.leaf, self.head)


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class PartyLeaf:
    """A leaf with the parties that receive a receipt for it. head: as in OpenedLeaf."""

    index: int
    leaf: bytes
    head: bytes | None
    organizations: tuple[str, ...]


class Log(Protocol):
    """The log in the database. Every method works inside the caller's transaction.

    `search`, `search_some`, `opened_leaves` and `opened_at` return only leaves whose hash is in the stored
    tree, and heads and content that their leaves commit to. They raise ContentMismatch for anything else.
    """

    def head(self, transaction: Connection) -> Head | None:
        """Return the head that this transaction sees; None before the first one."""
        ...

    def initialize(self, transaction: Connection, head: Head) -> None:
        """Write the head of the empty log. Does nothing when a head exists."""
        ...

    def advance(self, transaction: Connection, head: Head, *, from_size: int) -> bool:
        """Replace the head if it has `from_size` entries; otherwise change nothing and return False.

        At most one of two transactions that start from the same head gets True and commits.
        """
        ...

    def tag_secret(self, transaction: Connection) -> bytes:
        """Return the secret of the keys by which referrals' leaves are recognised.

        Raises Defect if it is missing.
        """
        ...

    def known(self, transaction: Connection, messages: Sequence[EventIdentity]) -> dict[EventIdentity, int]:
        """Return the entry's index of each of the messages that are in the log, by their source and id."""
        ...

    def add(self, transaction: Connection, entries: Sequence[NewEntry], rows: Sequence[Row]) -> None:
        """Write entries, the data beside them, and the nodes they complete."""
        ...

    def leaves(self, transaction: Connection, start: int, stop: int) -> list[StoredLeaf]:
        """Return the existing leaves of `[start, stop)`, by index."""
        ...

    def leaf_bytes(self, transaction: Connection, start: int, stop: int) -> list[bytes]:
        """Return the bytes of the leaves of `[start, stop)`, by index. Raises Defect when one is missing."""
        ...

    def search(
        self, transaction: Connection, search: Search, *, start: int, stop: int, limit: int
    ) -> list[StoredLeaf]:
        """Return the first `limit` matching leaves of `[start, stop)`, by index."""
        ...

    def search_some(
        self,
        transaction: Connection,
        search: Search,
        *,
        start: int,
        stop: int,
        limit: int,
        max_scanned: int | None,
    ) -> tuple[list[StoredLeaf], int]:
        """Search as `search` does, and also return where to continue: `stop` when the search is complete.

        max_scanned: the limit on leaves to examine, or None.
        """
        ...

    def opened_leaves(
        self,
        transaction: Connection,
        referral_id: str,
        *,
        start: int,
        stop: int,
        limit: int,
        without: Collection[str] = (),
    ) -> list[OpenedLeaf]:
        """Return the first `limit` leaves of a referral of `[start, stop)`, by index, with their openings.

        without: types to leave out.
        """
        ...

    def opened_at(self, transaction: Connection, indices: Sequence[int]) -> dict[int, OpenedLeaf]:
        """Return the existing leaves of these indices with their remaining openings."""
        ...

    def content_sizes(self, transaction: Connection, indices: Sequence[int]) -> dict[int, int]:
        """Return how many characters the JSON of the entries' content has, of those that have content."""
        ...

    def party_leaves(
        self, transaction: Connection, types: Sequence[str], *, start: int, stop: int
    ) -> list[PartyLeaf]:
        """Return the leaves of `[start, stop)` of these types about a referral, by index, with their parties.

        Leaves whose opening has been erased or does not match are omitted: their parties are unknown.
        """
        ...

    def hashes(self, transaction: Connection, level: int, start: int, stop: int) -> bytes:
        """Return the concatenated hashes of the nodes `[start, stop)` of one level. Raises Defect."""
        ...

    def nodes(self, transaction: Connection) -> HashReader:
        """Return a reader of node hashes. It raises Defect for a missing node."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredContent:
    """The stored data of a leaf, unchecked. salt, text: both None if there is no opening."""

    index: int
    leaf: bytes
    head: bytes | None
    salt: bytes | None
    text: str | None
    facets: frozenset[Facet]


class Contents(Protocol):
    """Reads the data beside the log, unchecked, for the inspection. Inside the caller's transaction."""

    def stored(self, transaction: Connection, start: int, stop: int) -> list[StoredContent]:
        """Return what is stored beside the entries of `[start, stop)`, by index."""
        ...

    def found_by(
        self, transaction: Connection, organizations: Collection[str], start: int, stop: int
    ) -> set[tuple[str, int]]:
        """Return the (organization, index) pairs by which a search finds entries of `[start, stop)`."""
        ...

    def pairs(self, transaction: Connection, after: tuple[str, int], limit: int) -> list[tuple[str, int]]:
        """Return the next (organization, index) pairs, in order."""
        ...

    def openings(self, transaction: Connection, indices: Sequence[int]) -> dict[int, str]:
        """Return the stored data of those entries that still have an opening."""
        ...

    def closures(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, bool]:
        """Return the recorded closings of these referrals: whether consent was revoked."""
        ...

    def of_types(
        self, transaction: Connection, referral_ids: Collection[str], types: Collection[str]
    ) -> list[int]:
        """Return the indices of the entries of these types about these referrals."""
        ...

    def first_of_type(self, transaction: Connection, type: str) -> int | None:
        """Return the index of the first entry of the type."""
        ...

    def unfiled(self, transaction: Connection) -> range:
        """Return the entries that still lack facets; an erased entry below its stop never gets any."""
        ...


class Closures(Protocol):
    """Closed referrals and the erasure of their content, inside the caller's transaction."""

    def note(
        self, transaction: Connection, closings: Sequence[Closing], referral_ids: Collection[str]
    ) -> None:
        """Add closings, and mark closed referrals among `referral_ids` as due again: they got a new entry."""
        ...

    def due(self, transaction: Connection, closed_before: dt.datetime | None, limit: int) -> list[str]:
        """Return referrals with content to erase: after revoked consent, or closed before that time."""
        ...

    def erase(self, transaction: Connection, referral_ids: Sequence[str], *, stop: int) -> dict[str, int]:
        """Erase the openings and facets of their entries below `stop`; return how many entries of each
        referral lost content.

        A referral with entries from `stop` on stays due.
        """
        ...


class Unfiled(Protocol):
    """Entries appended before facets and closures existed. Works inside the caller's transaction."""

    def file(self, transaction: Connection, limit: int) -> int:
        """Add facets and closings of the next `limit` of these entries; return how many are left.

        Existing rows stay. An entry whose content has been erased gets none.
        """
        ...
