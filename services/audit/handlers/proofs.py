"""Checkpoints, and proofs that stand against them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import Defect, Refused
from runtime.storage.database import Database
from services.audit.domain.head import Head, LogKey
from services.audit.domain.merkle import Proof, ProofError, prove_consistency, prove_inclusion
from services.audit.ports import Log


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
    """What anybody needs to check the log without trusting us. All of it is read from committed state."""

    def __init__(self, database: Database, log: Log, key: LogKey) -> None:
        self._database = database
        self._log = log
        self._key = key

    @property
    def verifier_key(self) -> str:
        """The log's public key, as notes write it."""
        return self._key.verifier_key

    def head(self) -> Head:
        """The log's head with its signed checkpoint."""
        with self._database.read() as transaction:
            return _founded(self._log.head(transaction))

    def inclusion(self, index: int, size: int | None) -> Inclusion:
        """The proof in the tree of `size` leaves, the present one by default.

        Raises Refused `invalid-parameter` for a tree that is not there yet or has no such leaf.
        """
        with self._database.read() as transaction:
            size = _within(size, _founded(self._log.head(transaction)))
            read = self._log.nodes(transaction)
            try:
                hashes = prove_inclusion(index, size, read)
            except ProofError as error:
                raise _refused(error) from None
            return Inclusion(index=index, size=size, leaf_hash=read(0, index), hashes=hashes)

    def consistency(self, from_size: int, to_size: int | None) -> Consistency:
        """The proof between two sizes; `to_size` is the present one by default. Raises as `inclusion`."""
        with self._database.read() as transaction:
            to_size = _within(to_size, _founded(self._log.head(transaction)))
            try:
                hashes = prove_consistency(from_size, to_size, self._log.nodes(transaction))
            except ProofError as error:
                raise _refused(error) from None
            return Consistency(from_size=from_size, to_size=to_size, hashes=hashes)


def _founded(head: Head | None) -> Head:
    if head is None:
        raise Defect("The log has not been founded.")
    return head


def _within(size: int | None, head: Head) -> int:
    if size is None:
        return head.size
    if size > head.size:
        raise Refused("invalid-parameter", f"The log has {head.size} entries so far.")
    return size


def _refused(error: ProofError) -> Refused:
    return Refused("invalid-parameter", f"Nothing to prove: {error}.")
