"""The log's Merkle tree: how it hashes, how it grows, and what it can prove. Checking proofs is the client's.

A **node** `(level, index)` is the perfect subtree over `2**level` leaves from leaf
`index << level` on; level 0 are the leaves. It never changes once its leaves are there, so a store
may keep its hash for ever, and a cache need not ask twice. A subtree that is not perfect is
computed when it is needed.

Hashes are 32 bytes of SHA-256; indices and sizes count leaves from 0.
Source: RFC 6962 §2.1 and RFC 9162 §2.1, which agree on the tree and its proofs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Protocol

HASH_BYTES = 32
# What 64 tile levels, a signed 64-bit database column and every other tlog implementation can hold.
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

_LEAF = b"\x00"
_NODE = b"\x01"
# Leaves hashed at a time by `extend`: bounds its memory whatever the iterator yields.
_BATCH = 4096

Proof = tuple[bytes, ...]


class ProofError(ValueError):
    """What is asked for cannot be proved."""


class HashReader(Protocol):
    """The hash of node `(level, index)`. Asked only for nodes inside the tree in question.

    An implementation returns 32 bytes and lets its own error pass when it cannot: nothing here
    catches it. It may be called from several threads if the proofs are.
    """

    def __call__(self, level: int, index: int, /) -> bytes: ...


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's bytes."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two neighbours."""
    return sha256(_NODE + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes; `EMPTY_ROOT` over none."""
    return Frontier().extend(leaf_hashes).root()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Neighbouring nodes of one level that a batch of leaves completed, ready to be stored.

    first: the index, within the level, of the first hash.
    """

    level: int
    first: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frontier:
    """All that is needed to append to a tree and to know its root, however large it is.

    edge: the hashes of the perfect subtrees that the tree falls into, largest (leftmost) first; one
    for each 1 in the binary form of `size`. Raises ValueError when the two do not fit together.
    """

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise ValueError("a tree has between 0 and 2**63 - 1 leaves")
        if len(self.edge) != self.size.bit_count() or any(len(h) != HASH_BYTES for h in self.edge):
            raise ValueError("the right edge does not belong to a tree of this size")

    def append(self, leaf_hash: bytes) -> Frontier:
        """The tree with one more leaf."""
        return self.grow((leaf_hash,))[0]

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The tree with these leaves added. Holds few at a time: an iterator may be long."""
        frontier = self
        remaining = iter(leaf_hashes)
        while batch := tuple(islice(remaining, _BATCH)):
            frontier, _ = frontier.grow(batch)
        return frontier

    def grow(self, leaf_hashes: Sequence[bytes]) -> tuple[Frontier, tuple[Row, ...]]:
        """The tree with these leaves added, and every node that they complete, the leaves included.

        One row for each level, lowest first; levels where nothing was completed have none. Raises
        ValueError for a leaf hash that is not 32 bytes.
        """
        if any(len(h) != HASH_BYTES for h in leaf_hashes):
            raise ValueError("a leaf hash has 32 bytes")
        unpaired = list(self.edge)  # the old edge; its last is its lowest
        edge: list[bytes] = []  # the new one, lowest first
        rows: list[Row] = []
        level = 0
        line = tuple(leaf_hashes)
        while line:
            complete = self.size >> level
            rows.append(Row(level=level, first=complete, hashes=line))
            # A left neighbour that was waiting makes the line start at an even index.
            pairing = (unpaired.pop(), *line) if complete & 1 else line
            if len(pairing) & 1:
                edge.append(pairing[-1])
            line = tuple(
                [
                    sha256(_NODE + left + right).digest()
                    for left, right in zip(pairing[0::2], pairing[1::2], strict=False)
                ]
            )
            level += 1
        grown = Frontier(size=self.size + len(leaf_hashes), edge=(*unpaired, *reversed(edge)))
        return grown, tuple(rows)

    def root(self) -> bytes:
        """The root hash of the tree; `EMPTY_ROOT` when it has no leaves."""
        return _fold(self.edge) if self.edge else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """The size as 8 bytes big-endian, then the edge, largest subtree first."""
        return self.size.to_bytes(8, "big") + b"".join(self.edge)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """What `to_bytes` wrote. Raises ValueError for anything else.

        A wrong hash of the right length passes: compare `root()` with a checkpoint.
        """
        if len(data) < 8:
            raise ValueError("a frontier begins with 8 bytes of size")
        edge = (data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES))
        return cls(size=int.from_bytes(data[:8], "big"), edge=tuple(edge))


def root_at(size: int, read: HashReader) -> bytes:
    """The root over the first `size` leaves of a larger tree, or of this one."""
    return _subtree_hash(0, size, read) if size else EMPTY_ROOT


def prove_inclusion(index: int, size: int, read: HashReader) -> Proof:
    """The audit path of leaf `index` in the tree of `size` leaves: from the leaf's sibling upwards.

    Raises ProofError when the tree has no such leaf. Source: RFC 9162 §2.1.3.1.
    """
    return prove_inclusions((index,), size, read)[index]


def prove_inclusions(indices: Iterable[int], size: int, read: HashReader) -> dict[int, Proof]:
    """The audit paths of these leaves, by index. What paths have in common is computed once for all.

    Raises ProofError when the tree does not have all of them.
    """
    leaves = sorted(set(indices))
    for index in leaves[:1] + leaves[-1:]:
        if not 0 <= index < size:
            raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    proofs: dict[int, Proof] = {}

    def descend(start: int, end: int, first: int, last: int, path: Proof) -> None:
        """leaves[first:last], at least one, are below the node over `[start, end)`; path: that node's."""
        if end - start == 1:
            proofs[start] = path
            return
        middle = start + _left_width(end - start)
        parting = bisect_left(leaves, middle, first, last)
        if first < parting:
            descend(start, middle, first, parting, (_subtree_hash(middle, end, read), *path))
        if parting < last:
            descend(middle, end, parting, last, (_subtree_hash(start, middle, read), *path))

    if leaves:
        descend(0, size, 0, len(leaves), ())
    return proofs


def prove_consistency(size1: int, size2: int, read: HashReader) -> Proof:
    """The proof that the tree of `size1` leaves is a prefix of the one of `size2`.

    Empty for equal sizes, and for the empty tree, which is a prefix of every other. Raises
    ProofError when `size1` is the larger. Source: RFC 9162 §2.1.4.1.
    """
    if not 0 <= size1 <= size2:
        raise ProofError(f"a tree of {size1} leaves is no prefix of one of {size2}")
    if size1 == 0:
        return ()
    start, end = 0, size2
    parts: list[tuple[int, int]] = []
    while end != size1:
        middle = start + _left_width(end - start)
        if size1 <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start = middle
    # At 0 the remaining subtree is the whole old tree, whose root the verifier has already.
    if start > 0:
        parts.append((start, end))
    return tuple(_subtree_hash(*part, read) for part in reversed(parts))


def _left_width(width: int) -> int:
    """How many of `width` leaves the left child holds: the largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _subtree_hash(start: int, end: int, read: HashReader) -> bytes:
    """The hash of the subtree over `[start, end)`; only those on the right edge are not perfect."""
    hashes: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(read(level, start >> level))
        start += 1 << level
    return _fold(hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """One hash over perfect subtrees side by side, largest first, at least one."""
    digest = hashes[-1]
    for left in hashes[-2::-1]:
        digest = node_hash(left, digest)
    return digest
