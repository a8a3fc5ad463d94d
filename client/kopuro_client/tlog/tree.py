"""The Merkle tree: hashes of leaves and nodes, and the computation and verification of proofs.

Hashes are 32 bytes of SHA-256; indices and sizes count leaves from 0. An audit path has two parts: the
**inner** part, below the point where the path joins the tree's right edge, has siblings on either side; the
**border** has siblings on the left only. Index and size determine the parts' lengths, so a proof of another
length is refused before it is hashed.

Source: RFC 6962 §2.1 and RFC 9162 §2.1, which agree on the tree and its proofs.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Protocol

from kopuro_client.tlog.errors import ProofError

HASH_BYTES: Final = 32
MAX_SIZE: Final = 2**63 - 1
EMPTY_ROOT: Final = sha256(b"").digest()


class NodeReader(Protocol):
    """Returns the hash over the `2**level` leaves from leaf `index << level` on. May raise any error."""

    def __call__(self, level: int, index: int, /) -> bytes: ...


def leaf_hash(data: bytes) -> bytes:
    """Return a leaf's hash, 32 bytes. data: the leaf as it is stored. Source: RFC 6962 §2.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the parent of two nodes, 32 bytes each. Source: RFC 6962 §2.1."""
    return sha256(b"\x01" + left + right).digest()


def parents(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes one level up, without an unpaired last one."""
    return [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(hashes[0::2], hashes[1::2], strict=False)
    ]


def verify_inclusion(
    leaf_hash: bytes, index: int, tree_size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Verify that the leaf with this hash is number `index` of the `tree_size` leaves under `root`.

    leaf_hash, root: 32 bytes; proof: the audit path, the leaf's sibling first, 32 bytes each. Size and root
    must be trusted: take both from one verified checkpoint. Raises ProofError. Source: RFC 9162 §2.1.3.
    """
    _check_hashes(leaf_hash, root, *proof)
    if not 0 <= index < tree_size <= MAX_SIZE:
        raise ProofError(f"a tree of {tree_size} leaves has no leaf {index}")
    inner, border = _lengths(index, tree_size)
    if len(proof) != inner + border:
        raise ProofError(f"the proof has {len(proof)} hashes instead of {inner + border}")
    digest = _climb(leaf_hash, proof[:inner], index)
    if _climb_edge(digest, proof[inner:]) != root:
        raise ProofError("the proof leads to another root: the log has another leaf at this index")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Verify that the `size1` leaves under `root1` are the first of the `size2` leaves under `root2`.

    root1, root2: 32 bytes; proof: 32 bytes each, in the order of RFC 6962 §2.1.2; empty for equal sizes and
    from the empty tree, which is a prefix of every tree. Raises ProofError. Source: RFC 9162 §2.1.4.
    """
    _check_hashes(root1, root2, *proof)
    if not 0 <= size1 <= size2 <= MAX_SIZE:
        raise ProofError(f"a tree of {size1} leaves cannot begin a tree of {size2}")
    if (size1 == 0 and root1 != EMPTY_ROOT) or (size2 == 0 and root2 != EMPTY_ROOT):
        raise ProofError("this is not the root of the empty tree")
    if size1 == size2 and root1 != root2:
        raise ProofError("two trees of one size have different roots")
    if size1 in (0, size2):
        if proof:
            raise ProofError("the proof must be empty, because there is nothing to prove")
        return
    inner, border = _lengths(size1 - 1, size2)
    # The path starts at the largest perfect subtree at the end of the old tree, not at its last leaf.
    skipped = (size1 & -size1).bit_length() - 1
    inner -= skipped
    # If that subtree is the whole old tree, the proof omits its root, which is known.
    path = list(proof) if size1 != 1 << skipped else [root1, *proof]
    if len(path) != 1 + inner + border:
        raise ProofError(f"the proof has {len(proof)} hashes, which is wrong for these sizes")
    start, siblings, edge = path[0], path[1 : 1 + inner], path[1 + inner :]
    turns = (size1 - 1) >> skipped
    old = start
    for level, sibling in enumerate(siblings):
        if turns >> level & 1:
            old = node_hash(sibling, old)
    if _climb_edge(old, edge) != root1:
        raise ProofError("the proof does not lead to the old root")
    if _climb_edge(_climb(start, siblings, turns), edge) != root2:
        raise ProofError("the proof does not lead to the new root")


def prove_consistency(size1: int, size2: int, read: NodeReader) -> list[bytes]:
    """Return the proof for `verify_consistency`, computed from the perfect subtrees of a tree of `size2`.

    Raises ProofError if there is none, and what `read` raises. Source: RFC 6962 §2.1.2.
    """
    if not 0 <= size1 <= size2:
        raise ProofError(f"a tree of {size1} leaves cannot begin a tree of {size2}")
    if size1 in (0, size2):
        return []
    return _subproof(size1, 0, size2, read, whole=True)


def subtree_root(start: int, end: int, read: NodeReader) -> bytes:
    """Return the hash over leaves `start` to `end`, a subtree that is perfect or on the right edge."""
    digest: bytes | None = None
    width = end - start
    for level in range(width.bit_length()):
        if width >> level & 1:
            end -= 1 << level
            left = read(level, end >> level)
            digest = left if digest is None else node_hash(left, digest)
    return EMPTY_ROOT if digest is None else digest


def _subproof(size: int, start: int, end: int, read: NodeReader, *, whole: bool) -> list[bytes]:
    if size == end - start:
        return [] if whole else [subtree_root(start, end, read)]
    left = 1 << (end - start - 1).bit_length() - 1
    if size <= left:
        rest = _subproof(size, start, start + left, read, whole=whole)
        return [*rest, subtree_root(start + left, end, read)]
    rest = _subproof(size - left, start + left, end, read, whole=False)
    return [*rest, subtree_root(start, start + left, read)]


def _lengths(index: int, size: int) -> tuple[int, int]:
    """Return the lengths of the inner part and of the border of the leaf's audit path."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(digest: bytes, siblings: Sequence[bytes], turns: int) -> bytes:
    for level, sibling in enumerate(siblings):
        digest = node_hash(sibling, digest) if turns >> level & 1 else node_hash(digest, sibling)
    return digest


def _climb_edge(digest: bytes, siblings: Sequence[bytes]) -> bytes:
    for sibling in siblings:
        digest = node_hash(sibling, digest)
    return digest


def _check_hashes(*hashes: bytes) -> None:
    # Otherwise bytes could move between two adjacent hashes without changing their parent's hash.
    if any(len(digest) != HASH_BYTES for digest in hashes):
        raise ProofError("a hash must have 32 bytes")
