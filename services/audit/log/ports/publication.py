"""The publication of the log: its files, its record, its witnesses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from contracts.errors import Unavailable
from services.audit.log.domain.merkle import Proof
from services.audit.log.domain.note import Signature
from services.audit.log.domain.published import PublishedCheckpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosignature:
    """The last cosignature of one witness. size: of the tree; time: by the witness's clock."""

    witness: str
    size: int
    signature: Signature
    time: dt.datetime


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
        """The newest public key that has signed what is published, as signed notes write it."""
        ...

    def newest(self) -> PublishedCheckpoint:
        """Return the published checkpoint. Raises Unavailable until the first one is published."""
        ...

    def covering(self, index: int) -> PublishedCheckpoint | None:
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
