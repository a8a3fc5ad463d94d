"""The ports of the log: its storage, its publication, its witnesses.

The reports use the log through this module only, so it also exports the values that the ports exchange.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.errors import Unavailable
from runtime.messaging.inbox import Identity
from services.audit.log.domain.entry import Entry
from services.audit.log.domain.facets import CONCERNED, RECORD, SEARCHED, Facet
from services.audit.log.domain.head import Head
from services.audit.log.domain.leaf import fields_of, opened_head, referral_key
from services.audit.log.domain.merkle import HashReader, Proof, Row, leaf_hash
from services.audit.log.domain.note import Signature
from services.audit.log.domain.prefix import Prefix
from services.audit.log.domain.published import Published
from services.audit.log.domain.retention import Closing
from services.audit.log.domain.search import Search

__all__ = [
    "CONCERNED",
    "RECORD",
    "SEARCHED",
    "CheckRecord",
    "Closures",
    "Contents",
    "Cosignature",
    "DueReceipt",
    "DueReceipts",
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
    "StoredContent",
    "StoredLeaf",
    "Unfiled",
    "VerifiedPrefix",
    "WitnessUnreachable",
    "Witnesses",
    "leaf_hash",
    "opened_head",
    "referral_key",
]


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
        """What the entry says (`domain.leaf.fields_of`). Raises ValueError unless the head is the leaf's."""
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
        """What the entry says (`domain.leaf.fields_of`). Raises ValueError unless the head is the leaf's."""
        return fields_of(self.leaf, self.head)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartyLeaf:
    """A leaf with the parties that receive a receipt for it. head: as in OpenedLeaf."""

    index: int
    leaf: bytes
    head: bytes | None
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
    """A prefix that was verified. time: when the verification began, or when it was complete."""

    prefix: Prefix
    time: dt.datetime


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

    def known(self, transaction: Connection, messages: Sequence[Identity]) -> dict[Identity, int]:
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
        """As `search`; also return where to continue, which is `stop` when the search is complete.

        max_scanned: the limit on leaves to examine, or None.
        """
        ...

    def opened_leaves(
        self,
        transaction: Connection,
        referral_id: str,
        *,
        stop: int,
        limit: int,
        without: Collection[str] = (),
    ) -> list[OpenedLeaf]:
        """Return the first `limit` leaves of a referral below `stop`, by index, with their openings.

        without: types to leave out.
        """
        ...

    def opened_at(self, transaction: Connection, indices: Sequence[int]) -> dict[int, OpenedLeaf]:
        """Return the existing leaves of these indices with their remaining openings."""
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
    """What is stored beside a leaf, unchecked. salt, text: both None without an opening."""

    index: int
    leaf: bytes
    head: bytes | None
    salt: bytes | None
    text: str | None
    facets: frozenset[Facet]


class Contents(Protocol):
    """What is stored beside the log, unchecked, for the inspection. Inside the caller's transaction."""

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


class PublicationRecord(Protocol):
    """Progress of the publication, in the database. Every method works inside the caller's transaction."""

    def begin(self, transaction: Connection, size: int) -> None:
        """Record that the first `size` entries need no receipts. Does nothing when a record exists."""
        ...

    def processed_size(self, transaction: Connection) -> int:
        """Return the number of published entries whose receipts have been written."""
        ...

    def advance(self, transaction: Connection, size: int, *, from_size: int) -> bool:
        """Advance the processed size if it is `from_size`; otherwise change nothing and return False."""
        ...

    def cosignatures(self, transaction: Connection) -> list[Cosignature]:
        """Return the last cosignature of each witness that gave one."""
        ...

    def keep_cosignatures(self, transaction: Connection, cosignatures: Sequence[Cosignature]) -> None:
        """Replace the last cosignatures of these witnesses."""
        ...


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

        Of two concurrent transactions that commit, only one gets a receipt.
        """
        ...


class CheckRecord(Protocol):
    """Results of earlier log checks. Every method works inside the caller's transaction.

    The record proves nothing by itself: `handlers.self_check` says how far it is used. Readers raise
    ValueError for a malformed record.
    """

    def checked(self, transaction: Connection) -> VerifiedPrefix | None:
        """Return the prefix that a start need not read again. Its time: when it had all been read."""
        ...

    def keep_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replace the checked prefix."""
        ...

    def extend_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replace the checked prefix only if there is one: a deleted record stays deleted."""
        ...

    def forget_checked(self, transaction: Connection) -> None:
        """Delete the checked prefix, so that the next start reads everything."""
        ...

    def round(self, transaction: Connection) -> VerifiedPrefix | None:
        """Return the progress of the current inspection round, and when it began."""
        ...

    def keep_round(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replace the progress of the round."""
        ...

    def forget_round(self, transaction: Connection) -> None:
        """Delete the progress, so that the next round begins at the first entry."""
        ...


class Unfiled(Protocol):
    """Entries appended before facets and closures existed. Works inside the caller's transaction."""

    def file(self, transaction: Connection, limit: int) -> int:
        """Add facets and closings of the next `limit` of these entries; return how many are left.

        Existing rows stay. An entry whose content has been erased gets none.
        """
        ...


class LogPublication(Protocol):
    """The public storage of the log: named contents in the layout of C2SP tlog-tiles.

    Durability: what `put` or `swap` wrote survives `kill -9` and loss of power once it has returned. When it
    raises, it may or may not have taken effect: callers read again and retry. Readers see a content whole or
    not at all, even during a write.

    Concurrency: any number of readers, one writing process at a time; `swap` replaces without comparing.

    Raises PublicationUnavailable for every error of the underlying storage.
    """

    def read(self, path: str) -> bytes | None:
        """Return the content at a path; None when there is none."""
        ...

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """Write contents that never change. Existing paths are left as they are."""
        ...

    def swap(self, path: str, content: bytes) -> None:
        """Replace one content atomically."""
        ...

    def drop(self, folder: str) -> None:
        """Remove everything below a folder. Need not be durable: callers repeat it."""
        ...


class PublishedTree(Protocol):
    """The published log, for the reports."""

    @property
    def size(self) -> int:
        """The number of published entries; 0 before the first checkpoint."""
        ...

    @property
    def verifier_key(self) -> str:
        """The log's public key, as signed notes write it."""
        ...

    def newest(self) -> Published:
        """Return the published checkpoint. Raises Unavailable until the first one is published."""
        ...

    def covering(self, index: int) -> Published | None:
        """Return the newest cosigned checkpoint that covers the entry, else the published one, else None."""
        ...

    def inclusion(self, index: int, size: int) -> Proof:
        """Return the inclusion proof of entry `index` in the tree of `size` entries. Raises Defect."""
        ...


class Witnesses(Protocol):
    """Client of witnesses over the network."""

    def add_checkpoint(self, url: str, body: bytes) -> tuple[int, bytes]:
        """POST to `<url>/add-checkpoint`; return status and body. Raises WitnessUnreachable.

        Bounded in time and response size. Follows no redirects. May be called from several threads.
        """
        ...


class PublicationUnavailable(Unavailable):
    """The publication's storage is temporarily unavailable (disk full, bucket unreachable)."""


class WitnessUnreachable(Unavailable):
    """The witness sent no HTTP response in time."""
