"""The log's Merkle tree: hashing, appending and proofs. Clients verify the proofs.

A **node** `(level, index)` is the perfect subtree over `2**level` leaves from leaf
`index << level` on; level 0 are the leaves. A node never changes once its leaves exist, so its hash
can be stored and cached without expiry. Imperfect subtrees are computed on demand.

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
# Fits 64 tile levels, a signed 64-bit database column and every other tlog implementation.
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

_LEAF = b"\x00"
_NODE = b"\x01"
# Leaves per step of `extend`: bounds its memory for any iterator.
_BATCH = 4096

Proof = tuple[bytes, ...]


class ProofError(ValueError):
    """The requested proof does not exist."""


class HashReader(Protocol):
    """Returns the 32-byte hash of node `(level, index)`. Called only for nodes inside the tree.

    Errors of the implementation propagate to the caller of the proof function.
    """

    def __call__(self, level: int, index: int, /) -> bytes: ...


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's bytes."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the parent of two nodes."""
    return sha256(_NODE + left + right).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Adjacent nodes of one level that a batch of leaves completed.

    first: the index, within the level, of the first hash.
    """

    level: int
    first: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frontier:
    """The right edge of a tree: enough to append to it and to compute its root.

    edge: the hashes of the maximal perfect subtrees, largest (leftmost) first; one for each 1 bit of
    `size`. Raises ValueError when edge and size do not match.
    """

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise ValueError("a tree has between 0 and 2**63 - 1 leaves")
        if len(self.edge) != self.size.bit_count() or any(len(h) != HASH_BYTES for h in self.edge):
            raise ValueError("the right edge does not match the tree size")

    def append(self, leaf_hash: bytes) -> Frontier:
        """Return the tree with one more leaf."""
        return self.grow((leaf_hash,))[0]

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the tree with these leaves appended, in bounded memory."""
        frontier = self
        remaining = iter(leaf_hashes)
        while batch := tuple(islice(remaining, _BATCH)):
            frontier, _ = frontier.grow(batch)
        return frontier

    def grow(self, leaf_hashes: Sequence[bytes]) -> tuple[Frontier, tuple[Row, ...]]:
        """Return the tree with these leaves appended, and every node that they complete, leaves included.

        One row per level with completed nodes, lowest first. Raises ValueError for a leaf hash that is
        not 32 bytes.
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
            # Including the unpaired left sibling, the line starts at an even index.
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
        """Return the root hash; `EMPTY_ROOT` without leaves."""
        return _fold(self.edge) if self.edge else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """Return the size as 8 bytes big-endian, then the edge, largest subtree first."""
        return self.size.to_bytes(8, "big") + b"".join(self.edge)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """Parse the output of `to_bytes`. Raises ValueError for anything else.

        Does not detect wrong hashes: compare `root()` with a checkpoint.
        """
        if len(data) < 8:
            raise ValueError("a frontier begins with 8 bytes of size")
        edge = (data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES))
        return cls(size=int.from_bytes(data[:8], "big"), edge=tuple(edge))


def root_at(size: int, read: HashReader) -> bytes:
    """Return the root over the first `size` leaves of a tree that has at least as many."""
    return _subtree_hash(0, size, read) if size else EMPTY_ROOT


def prove_inclusion(index: int, size: int, read: HashReader) -> Proof:
    """Return the audit path of leaf `index` in the tree of `size` leaves, from the leaf's sibling upwards.

    Raises ProofError when the tree has no such leaf. Source: RFC 9162 §2.1.3.1.
    """
    return prove_inclusions((index,), size, read)[index]


def prove_inclusions(indices: Iterable[int], size: int, read: HashReader) -> dict[int, Proof]:
    """Return the audit paths of these leaves, by index. Common hashes are computed once.

    Raises ProofError when the tree does not have all of them.
    """
    leaves = sorted(set(indices))
    for index in leaves[:1] + leaves[-1:]:
        if not 0 <= index < size:
            raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    proofs: dict[int, Proof] = {}

    def descend(start: int, end: int, first: int, last: int, path: Proof) -> None:
        """Descend to leaves[first:last], at least one, below `[start, end)`. path: of that subtree."""
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
    """Return the proof that the tree of `size1` leaves is a prefix of the one of `size2`.

    Empty for equal sizes, and for the empty tree, which is a prefix of every other. Raises
    ProofError when `size1` is the larger. Source: RFC 9162 §2.1.4.1.
    """
    if not 0 <= size1 <= size2:
        raise ProofError(f"a tree of {size1} leaves cannot begin a tree of {size2}")
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
    # At 0 the remaining subtree is the whole old tree, whose root the verifier knows.
    if start > 0:
        parts.append((start, end))
    return tuple(_subtree_hash(*part, read) for part in reversed(parts))


def _left_width(width: int) -> int:
    """Return the leaves of the left child of `width` leaves: the largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _subtree_hash(start: int, end: int, read: HashReader) -> bytes:
    """Return the hash of the subtree over `[start, end)`, perfect or on the right edge."""
    hashes: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(read(level, start >> level))
        start += 1 << level
    return _fold(hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over adjacent perfect subtrees, largest first, at least one."""
    digest = hashes[-1]
    for left in hashes[-2::-1]:
        digest = node_hash(left, digest)
    return digest
