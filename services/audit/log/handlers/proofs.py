"""Checkpoints, and proofs that stand against them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import Defect, Refused
from runtime.storage.database import Database
from services.audit.log.domain.head import Head, LogKey
from services.audit.log.domain.merkle import HashReader, Proof, ProofError, prove_consistency, prove_inclusion
from services.audit.log.domain.published import Published
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.ports import Log


@dataclass(frozen=True, kw_only=True, slots=True)
class Inclusion:
    """That a leaf is number `index` of the first `size`. leaf_hash: 32 bytes; hashes: from the leaf up."""

    index: int
    size: int
    leaf_hash: bytes
    hashes: Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class Consistency:
    """That the first `from_size` leaves begin the first `to_size`. hashes: as in RFC 9162 §2.1.4."""

    from_size: int
    to_size: int
    hashes: Proof


class Proofs:
    """What anybody needs to check the log without trusting us.

    From the published tiles, most of them in memory. The database is asked only about trees that have been
    signed for and are not published yet, which is a matter of a moment.
    """

    def __init__(self, database: Database, log: Log, key: LogKey, published: PublishedLog) -> None:
        self._database = database
        self._log = log
        self._key = key
        self._published = published

    @property
    def verifier_key(self) -> str:
        """The log's public key, as notes write it."""
        return self._key.verifier_key

    def published(self) -> Published:
        """The published checkpoint. Raises Unavailable until the first one is published."""
        return self._published.newest()

    def cosigned(self) -> Published:
        """The newest that enough witnesses have cosigned. Raises Refused `not-found`."""
        if self._published.cosigned is None:
            raise Refused("not-found", "No checkpoint has been cosigned yet.")
        return self._published.cosigned

    def head(self) -> Head:
        """The log's head in the database, with its signed checkpoint."""
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        if head is None:
            raise Defect("The log has not been founded.")
        return head

    def inclusion(self, index: int, size: int | None) -> Inclusion:
        """The proof in the tree of `size` leaves, the published one by default.

        Raises Refused `invalid-parameter` for a tree that is not there yet or has no such leaf.
        """
        size = self._published.size if size is None and index < self._published.size else size
        if size is not None and size <= self._published.size:
            return _inclusion(index, size, self._published.node)
        with self._database.read() as transaction:
            size = _within(size, self._log.head(transaction))
            return _inclusion(index, size, self._log.nodes(transaction))

    def consistency(self, from_size: int, to_size: int | None) -> Consistency:
        """The proof between two sizes; `to_size` is the published one by default. Raises as `inclusion`."""
        if to_size is None and from_size <= self._published.size:
            to_size = self._published.size
        if to_size is not None and to_size <= self._published.size:
            return _consistency(from_size, to_size, self._published.node)
        with self._database.read() as transaction:
            to_size = _within(to_size, self._log.head(transaction))
            return _consistency(from_size, to_size, self._log.nodes(transaction))


def _inclusion(index: int, size: int, read: HashReader) -> Inclusion:
    try:
        hashes = prove_inclusion(index, size, read)
    except ProofError as error:
        raise _refused(error) from None
    return Inclusion(index=index, size=size, leaf_hash=read(0, index), hashes=hashes)


def _consistency(from_size: int, to_size: int, read: HashReader) -> Consistency:
    try:
        hashes = prove_consistency(from_size, to_size, read)
    except ProofError as error:
        raise _refused(error) from None
    return Consistency(from_size=from_size, to_size=to_size, hashes=hashes)


def _within(size: int | None, head: Head | None) -> int:
    if head is None:
        raise Defect("The log has not been founded.")
    if size is None:
        return head.size
    if size > head.size:
        raise Refused("invalid-parameter", f"The log has {head.size} entries so far.")
    return size


def _refused(error: ProofError) -> Refused:
    return Refused("invalid-parameter", f"Nothing to prove: {error}.")
