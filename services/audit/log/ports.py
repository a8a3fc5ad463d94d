"""The ports of the log: its storage, its publication, its witnesses.

The reports see the log through this module alone: it also names the values that its ports take and return.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.errors import Unavailable
from services.audit.log.domain.entry import Entry
from services.audit.log.domain.facets import RECORD, SEARCHED, Facet
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import HashReader, Proof, Row, leaf_hash
from services.audit.log.domain.note import Signature
from services.audit.log.domain.prefix import Prefix
from services.audit.log.domain.published import Published
from services.audit.log.domain.retention import Closing
from services.audit.log.domain.search import Search

__all__ = [
    "RECORD",
    "SEARCHED",
    "CheckRecord",
    "Closures",
    "Cosignature",
    "Head",
    "Log",
    "LogPublication",
    "NewEntry",
    "OpenedLeaf",
    "PartyLeaf",
    "Proof",
    "PublicationRecord",
    "PublicationUnavailable",
    "Published",
    "PublishedTree",
    "Search",
    "StoredLeaf",
    "Unfiled",
    "VerifiedPrefix",
    "WitnessUnreachable",
    "Witnesses",
    "leaf_hash",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEntry:
    """One entry on its way into the log, with what is kept beside its leaf.

    latest: the latest time up to this entry; organizations, facets: what it is found by; salt, content: what
    opens the commitment, the data as the canonical JSON that was hashed.
    """

    index: int
    entry: Entry
    leaf: bytes
    latest: dt.datetime
    organizations: Sequence[str]
    facets: Sequence[Facet]
    salt: bytes
    content: bytes


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


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedLeaf:
    """A leaf, and what opens its commitment: both None once that has been erased."""

    index: int
    leaf: bytes
    salt: bytes | None
    data: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class PartyLeaf:
    """A leaf whose parties are to be told that it is in the log."""

    index: int
    leaf: bytes
    organizations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosignature:
    """The last cosignature of one witness. size: of the tree; time: by the witness's clock."""

    witness: str
    size: int
    signature: Signature
    time: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedPrefix:
    """A prefix that was read and found whole. time: when the reading began, or all had been read."""

    prefix: Prefix
    time: dt.datetime


class Log(Protocol):
    """The log in the database. Every method works inside the caller's transaction."""

    def head(self, transaction: Connection) -> Head | None:
        """The head as committed, or as written in this transaction; None before the first one."""
        ...

    def initialize(self, transaction: Connection, head: Head) -> None:
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

    def leaf_bytes(self, transaction: Connection, start: int, stop: int) -> list[bytes]:
        """The leaves of `[start, stop)` as they were hashed, by index. Raises Defect."""
        ...

    def search(
        self, transaction: Connection, search: Search, *, start: int, stop: int, limit: int
    ) -> list[StoredLeaf]:
        """The first `limit` leaves of `[start, stop)` that match, by index."""
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
        """As `search`, and from where to go on; `stop` when everything has been looked through.

        looked: stop there when so many leaves were looked at and did not match, or None.
        """
        ...

    def opened_leaves(
        self, transaction: Connection, referral_id: str, *, stop: int, limit: int
    ) -> list[OpenedLeaf]:
        """The first `limit` leaves of a referral below index `stop`, by index, with what still opens them."""
        ...

    def opened(self, transaction: Connection, leaves: Sequence[StoredLeaf]) -> list[OpenedLeaf]:
        """The same leaves, with what still opens them."""
        ...

    def party_leaves(
        self, transaction: Connection, types: Sequence[str], *, start: int, stop: int
    ) -> list[PartyLeaf]:
        """The leaves of `[start, stop)` of these types about a referral, by index, with the parties named.

        One whose opening has been erased is left out: its parties cannot be named any more.
        """
        ...

    def hashes(self, transaction: Connection, level: int, start: int, stop: int) -> bytes:
        """The hashes of the nodes `[start, stop)` of one level, side by side. Raises Defect."""
        ...

    def nodes(self, transaction: Connection) -> HashReader:
        """Reads node hashes. Raises Defect for a node that is not there."""
        ...


class Closures(Protocol):
    """Referrals that are over, and what is erased of them, inside the caller's transaction."""

    def note(
        self, transaction: Connection, closings: Sequence[Closing], referral_ids: Collection[str]
    ) -> None:
        """Adds closings; of every referral that is over and got an entry, there may be more to erase."""
        ...

    def due(self, transaction: Connection, closed_before: dt.datetime | None, limit: int) -> list[str]:
        """Referrals with something to erase: of revoked consent, or closed before that time."""
        ...

    def erase(self, transaction: Connection, referral_ids: Sequence[str], *, stop: int) -> int:
        """Erases the openings and facets of their entries below `stop`; how many lost their content.

        A referral with entries from `stop` on stays due.
        """
        ...


class PublicationRecord(Protocol):
    """What the database knows of the publication. Every method works inside the caller's transaction."""

    def begin(self, transaction: Connection, size: int) -> None:
        """Notes that the first `size` entries need nothing more; does nothing when there is a note."""
        ...

    def processed_size(self, transaction: Connection) -> int:
        """For how many entries all that follows from their publication has been done."""
        ...

    def advance(self, transaction: Connection, size: int, *, from_size: int) -> bool:
        """Moves the note on; False, and nothing changed, where it is not at `from_size`."""
        ...

    def cosignatures(self, transaction: Connection) -> list[Cosignature]:
        """The last word of each witness that has given one."""
        ...

    def keep_cosignatures(self, transaction: Connection, cosignatures: Sequence[Cosignature]) -> None:
        """Replaces the last words of these witnesses."""
        ...


class CheckRecord(Protocol):
    """What is remembered of earlier checks of the log. Every method works inside the caller's transaction.

    Nothing here is a proof: see `handlers.self_check` for what is believed of it. A reader raises ValueError
    for a record that cannot be one.
    """

    def checked(self, transaction: Connection) -> VerifiedPrefix | None:
        """What a start need not read again; its time: when all of it had been read."""
        ...

    def keep_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replaces it."""
        ...

    def extend_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replaces it where it is there: what somebody has forgotten stays forgotten."""
        ...

    def forget_checked(self, transaction: Connection) -> None:
        """Has the next start read everything."""
        ...

    def round(self, transaction: Connection) -> VerifiedPrefix | None:
        """How far a round has come, and when it began."""
        ...

    def keep_round(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replaces it."""
        ...

    def forget_round(self, transaction: Connection) -> None:
        """Has the next round begin at the first entry."""
        ...


class Unfiled(Protocol):
    """Entries from before there were facets, and closures. Works inside the caller's transaction."""

    def file(self, transaction: Connection, limit: int) -> int:
        """Adds the facets of the next `limit` of these entries, and what they close; how many are left.

        What is there already stays, and an entry whose content has been erased gets nothing.
        """
        ...


class LogPublication(Protocol):
    """Where the log lies for everybody to read: named contents, laid out as C2SP tlog-tiles.

    Durability: when `put` or `swap` has returned, what it wrote survives `kill -9` and loss of power. When
    it raises, it may have taken effect or not: callers look again, and repeat. A content is there whole or
    not at all, also for who reads meanwhile.

    Concurrency: any number may read. One process writes at a time; `swap` replaces, it does not compare.

    Raises PublicationUnavailable, and no other error of the storage beneath.
    """

    def read(self, path: str) -> bytes | None:
        """The content of that name; None when there is none."""
        ...

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """Writes contents that never change: what has a name already is left as it is."""
        ...

    def swap(self, path: str, content: bytes) -> None:
        """Replaces one content by another at once."""
        ...

    def drop(self, folder: str) -> None:
        """Removes everything below a folder, and needs no durability: it is asked for again."""
        ...


class PublishedTree(Protocol):
    """The published log, as the reports read it."""

    @property
    def size(self) -> int:
        """The number of published entries; 0 before the first checkpoint."""
        ...

    @property
    def verifier_key(self) -> str:
        """The log's public key, as signed notes write it."""
        ...

    def newest(self) -> Published:
        """The published checkpoint. Raises Unavailable until the first one is published."""
        ...

    def covering(self, index: int) -> Published | None:
        """The newest cosigned checkpoint that has the entry, else the published one, else None."""
        ...

    def inclusion(self, index: int, size: int) -> Proof:
        """The proof that entry `index` is in the tree of `size` entries. Raises Defect for a damaged file."""
        ...


class Witnesses(Protocol):
    """Asks witnesses over the network."""

    def add_checkpoint(self, url: str, body: bytes) -> tuple[int, bytes]:
        """POSTs to `<url>/add-checkpoint`: the status and the answer. Raises WitnessUnreachable.

        Bounded in time, and in what is read of the answer. Follows no redirects. May be called from
        several threads.
        """
        ...


class PublicationUnavailable(Unavailable):
    """The publication's storage cannot be read or written just now (disk full, bucket out of reach)."""


class WitnessUnreachable(Unavailable):
    """No answer that is HTTP came from the witness in time."""
