"""Checkpoints and the proofs against them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import Defect, PointerError, Refused
from runtime.storage.database import Database
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import HashReader, Proof, ProofError, prove_consistency, prove_inclusion
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.ports import Log


@dataclass(frozen=True, kw_only=True, slots=True)
class Inclusion:
    """An inclusion proof. leaf_hash: 32 bytes; hashes: the audit path from the leaf up."""

    index: int
    size: int
    leaf_hash: bytes
    hashes: Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class Consistency:
    """A consistency proof between two tree sizes. hashes: as in RFC 9162 §2.1.4."""

    from_size: int
    to_size: int
    hashes: Proof


class Proofs:
    """Computes checkpoints and proofs.

    Uses the published tiles, most of them in memory. Only trees that are signed but not published yet,
    usually for less than a second, require the database.
    """

    def __init__(self, database: Database, log: Log, published: PublishedLog) -> None:
        self._database = database
        self._log = log
        self._published = published

    @property
    def verifier_key(self) -> str:
        """See `PublishedLog.verifier_key`."""
        return self._published.verifier_key

    def published(self) -> PublishedCheckpoint:
        """Return the published checkpoint. Raises Unavailable until the first one is published."""
        return self._published.newest()

    def cosigned(self) -> PublishedCheckpoint:
        """Return the newest checkpoint with enough cosignatures. Raises Refused `not-found`."""
        if self._published.cosigned is None:
            raise Refused("not-found", "No checkpoint has been cosigned yet.")
        return self._published.cosigned

    def head(self) -> Head:
        """Return the log's head in the database, with its signed checkpoint."""
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        if head is None:
            raise Defect("The log is not initialized.")
        return head

    def inclusion(self, index: int, size: int | None) -> Inclusion:
        """Return the inclusion proof in the tree of `size` leaves, by default the published tree.

        Raises Refused `invalid-parameter` for a tree beyond the log or an index beyond the tree.
        """
        size = self._published.size if size is None and index < self._published.size else size
        if size is not None and size <= self._published.size:
            return _inclusion(index, size, self._published.node)
        with self._database.read() as transaction:
            size = _within(size, self._log.head(transaction), "size")
            return _inclusion(index, size, self._log.nodes(transaction))

    def consistency(self, from_size: int, to_size: int | None) -> Consistency:
        """Return the proof between two sizes, by default up to the published size. Raises as `inclusion`."""
        if to_size is None and from_size <= self._published.size:
            to_size = self._published.size
        if to_size is not None and to_size <= self._published.size:
            return _consistency(from_size, to_size, self._published.node)
        with self._database.read() as transaction:
            to_size = _within(to_size, self._log.head(transaction), "to")
            return _consistency(from_size, to_size, self._log.nodes(transaction))


def _inclusion(index: int, size: int, read: HashReader) -> Inclusion:
    try:
        hashes = prove_inclusion(index, size, read)
    except ProofError as error:
        raise _refused(error, "index") from None
    return Inclusion(index=index, size=size, leaf_hash=read(0, index), hashes=hashes)


def _consistency(from_size: int, to_size: int, read: HashReader) -> Consistency:
    try:
        hashes = prove_consistency(from_size, to_size, read)
    except ProofError as error:
        raise _refused(error, "from") from None
    return Consistency(from_size=from_size, to_size=to_size, hashes=hashes)


def _within(size: int | None, head: Head | None, name: str) -> int:
    """Return the size of a tree in the log. name: the parameter that says it."""
    if head is None:
        raise Defect("The log is not initialized.")
    if size is None:
        return head.size
    if size > head.size:
        detail = f"The log has {head.size} entries: give a size up to that."
        raise Refused("invalid-parameter", detail, errors=(PointerError(pointer=f"/{name}", detail=detail),))
    return size


def _refused(error: ProofError, name: str) -> Refused:
    detail = f"Cannot build this proof: {error}."
    return Refused("invalid-parameter", detail, errors=(PointerError(pointer=f"/{name}", detail=detail),))
