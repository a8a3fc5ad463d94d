"""The tree compared with its recursive definition and published values, and forged proofs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pytest

from kopuro_client import tlog
from kopuro_client.tlog import verify_consistency, verify_inclusion
from services.audit.log.domain.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    HashReader,
    Proof,
    ProofError,
    Row,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    prove_inclusions,
)
from tests.support.ct_vectors import CT_LEAVES, CT_ROOTS

# Hashes in the published proofs over `CT_LEAVES`.
LEAF_0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_01 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
NODE_23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_0123 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
NODE_4567 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
CT_INCLUSION = [
    (0, 1, []),
    (0, 2, [LEAF_1]),
    (1, 2, [LEAF_0]),
    (2, 3, [NODE_01]),
    (1, 5, [LEAF_0, NODE_23, LEAF_4]),
    (0, 8, [LEAF_1, NODE_23, NODE_4567]),
    (5, 8, [LEAF_4, NODE_67, NODE_0123]),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (1, 8, [LEAF_1, NODE_23, NODE_4567]),
    (2, 5, [NODE_23, LEAF_4]),
    (6, 8, [NODE_45, NODE_67, NODE_0123]),
]
HASHES = [leaf_hash(b"leaf %d" % number) for number in range(300)]


def defined_root(hashes: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962 §2.1 defines it, with its recursion."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    left, right = defined_root(hashes[:half]), defined_root(hashes[half:])
    return sha256(b"\x01" + left + right).digest()


def reader(hashes: Sequence[bytes]) -> HashReader:
    """Reads perfect subtrees computed from the definition, and fails outside the tree."""

    def read(level: int, index: int, /) -> bytes:
        first, end = index << level, (index + 1) << level
        assert 0 <= first < end <= len(hashes), f"node ({level}, {index}) is not in the tree"
        return defined_root(hashes[first:end])

    return read


def flips(data: bytes) -> Iterator[bytes]:
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def forgeries(proof: Proof) -> Iterator[Proof]:
    """Every single-bit flip, and each hash left out, doubled or moved."""
    for at, digest in enumerate(proof):
        for changed in flips(digest):
            yield (*proof[:at], changed, *proof[at + 1 :])
        yield proof[:at] + proof[at + 1 :]
        yield (*proof[: at + 1], *proof[at:])
        if at:
            yield (*proof[: at - 1], digest, proof[at - 1], *proof[at + 1 :])
    yield (*proof, EMPTY_ROOT)
    yield (EMPTY_ROOT, *proof)


def refused(verify: Callable[..., None], *claim: Any) -> bool:
    try:
        verify(*claim)
    except tlog.ProofError:
        return True
    return False


def test_empty_tree_has_the_hash_of_the_empty_string() -> None:
    assert Frontier().extend([]).root() == EMPTY_ROOT == Frontier().root() == bytes.fromhex(CT_ROOTS[0])


@pytest.mark.parametrize("size", range(9))
def test_merkle_roots_equal_the_published_values(size: int) -> None:
    assert Frontier().extend(leaf_hash(data) for data in CT_LEAVES[:size]).root().hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "size", "published"), CT_INCLUSION)
def test_inclusion_proofs_equal_the_published_values(index: int, size: int, published: list[str]) -> None:
    hashes = [leaf_hash(data) for data in CT_LEAVES]
    proof = prove_inclusion(index, size, reader(hashes[:size]))
    assert [digest.hex() for digest in proof] == published
    verify_inclusion(hashes[index], index, size, proof, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(("size1", "size2", "published"), CT_CONSISTENCY)
def test_consistency_proofs_equal_the_published_values(size1: int, size2: int, published: list[str]) -> None:
    hashes = [leaf_hash(data) for data in CT_LEAVES]
    proof = prove_consistency(size1, size2, reader(hashes[:size2]))
    assert [digest.hex() for digest in proof] == published
    roots = bytes.fromhex(CT_ROOTS[size1]), bytes.fromhex(CT_ROOTS[size2])
    verify_consistency(size1, size2, proof, *roots)


def test_leaf_of_two_hashes_differs_from_their_node() -> None:
    assert leaf_hash(HASHES[0] + HASHES[1]) != node_hash(HASHES[0], HASHES[1])


def test_frontier_has_the_defined_root_at_every_size() -> None:
    frontier = Frontier()
    for size in range(len(HASHES) + 1):
        assert frontier.size == size
        assert frontier.root() == defined_root(HASHES[:size])
        if size < len(HASHES):
            frontier = frontier.append(HASHES[size])


@pytest.mark.parametrize("first", [0, 1, 2, 3, 7, 8, 100, 255, 256, 299, 300])
def test_frontier_grown_in_batches_equals_one_by_one(first: int) -> None:
    before = Frontier().extend(HASHES[:first])
    assert before.extend(iter(HASHES[first:])) == Frontier().extend(HASHES)
    for end in range(first, len(HASHES) + 1, 13):
        assert before.extend(HASHES[first:end]).root() == defined_root(HASHES[:end])


def test_frontier_extends_by_more_leaves_than_one_step() -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(10_001)]
    assert Frontier().extend(iter(hashes)).root() == defined_root(hashes)


@pytest.mark.parametrize("first", [0, 1, 5, 8, 21])
def test_frontier_growth_returns_exactly_the_completed_nodes(first: int) -> None:
    before = Frontier().extend(HASHES[:first])
    for end in range(first, 70):
        _, rows = before.grow(HASHES[first:end])
        named = {
            (row.level, row.first + offset): digest
            for row in rows
            for offset, digest in enumerate(row.hashes)
        }
        read = reader(HASHES[:end])
        complete = {(level, index) for level in range(8) for index in range(first >> level, end >> level)}
        assert named == {node: read(*node) for node in complete}


def test_rows_of_growth_suffice_for_all_proofs() -> None:
    frontier, nodes = Frontier(), dict[tuple[int, int], bytes]()
    for start in range(0, 300, 37):
        frontier, rows = frontier.grow(HASHES[start : start + 37])
        for row in rows:
            nodes.update({(row.level, row.first + at): h for at, h in enumerate(row.hashes)})
    for index in range(300):
        proof = prove_inclusion(index, 300, lambda level, at: nodes[level, at])
        verify_inclusion(HASHES[index], index, 300, proof, frontier.root())


def counting(read: HashReader, asked: Counter[str]) -> HashReader:
    def counted(level: int, index: int, /) -> bytes:
        asked["nodes"] += 1
        return read(level, index)

    return counted


@pytest.mark.parametrize("size", [1, 2, 3, 8, 70, 255, 256, 257, 300])
def test_joint_inclusion_proofs_equal_single_ones(size: int) -> None:
    hashes = HASHES[:size]
    read = reader(hashes)
    for indices in (range(size), range(0, size, 7), range(size // 2, size), [size - 1, 0, 0]):
        asked, alone = Counter[str](), Counter[str]()
        proofs = prove_inclusions(indices, size, counting(read, asked))
        assert proofs.keys() == set(indices)
        for index, proof in proofs.items():
            assert proof == prove_inclusion(index, size, counting(read, alone))
            verify_inclusion(hashes[index], index, size, proof, defined_root(hashes))
        assert asked["nodes"] < alone["nodes"] or len(proofs) <= 2
    assert prove_inclusions([], size, read) == {}


def test_frontier_grown_by_no_leaves_is_unchanged() -> None:
    frontier = Frontier().extend(HASHES[:5])
    assert frontier.grow(()) == (frontier, ())


def test_single_leaf_makes_a_row() -> None:
    assert Frontier().grow((HASHES[0],))[1] == (Row(level=0, first=0, hashes=(HASHES[0],)),)


def test_frontier_bytes_round_trip() -> None:
    for size in (0, 1, 2, 3, 255, 256, 300):
        frontier = Frontier().extend(HASHES[:size])
        assert Frontier.from_bytes(frontier.to_bytes()) == frontier
    assert Frontier().append(HASHES[0]).to_bytes() == b"\0\0\0\0\0\0\0\1" + HASHES[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8 + HASHES[0],
        b"\0" * 7 + b"\1",
        b"\0" * 7 + b"\1" + HASHES[0][:-1],
        b"\0" * 7 + b"\1" + HASHES[0] + b"\0",
        b"\0" * 7 + b"\1" + HASHES[0] + HASHES[1],
        b"\xff" * 8 + HASHES[0] * 64,
    ],
)
def test_malformed_frontier_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"size|edge|leaves"):
        Frontier.from_bytes(data)


def test_leaf_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier().extend([HASHES[0], HASHES[1] + b"\0"])


def test_tree_of_maximum_size_refuses_more_leaves() -> None:
    full = Frontier(size=MAX_SIZE, edge=tuple(HASHES[:63]))
    with pytest.raises(ValueError, match="leaves"):
        full.append(HASHES[0])


def test_inclusion_proofs_of_all_small_trees_verify() -> None:
    for size in range(1, 41):
        read, tree_root = reader(HASHES[:size]), defined_root(HASHES[:size])
        for index in range(size):
            proof = prove_inclusion(index, size, read)
            verify_inclusion(HASHES[index], index, size, proof, tree_root)


def test_consistency_proofs_of_all_small_trees_verify() -> None:
    for size2 in range(41):
        read, root2 = reader(HASHES[:size2]), defined_root(HASHES[:size2])
        for size1 in range(size2 + 1):
            proof = prove_consistency(size1, size2, read)
            verify_consistency(size1, size2, proof, defined_root(HASHES[:size1]), root2)


@pytest.mark.parametrize(
    ("index", "size"), [(0, 1), (0, 2), (2, 3), (6, 7), (4, 7), (5, 13), (12, 13), (255, 300)]
)
def test_forged_inclusion_proof_is_refused(index: int, size: int) -> None:
    proof = prove_inclusion(index, size, reader(HASHES[:size]))
    leaf, tree_root = HASHES[index], defined_root(HASHES[:size])
    verify_inclusion(leaf, index, size, proof, tree_root)
    for forged in forgeries(proof):
        assert refused(verify_inclusion, leaf, index, size, forged, tree_root)
    for wrong in flips(leaf):
        assert refused(verify_inclusion, wrong, index, size, proof, tree_root)
    for wrong in flips(tree_root):
        assert refused(verify_inclusion, leaf, index, size, proof, wrong)
    for place in (*range(size + 2), -1, index ^ MAX_SIZE):
        moved = place != index
        assert moved == refused(verify_inclusion, leaf, place, size, proof, tree_root)


@pytest.mark.parametrize(
    ("size1", "size2"), [(1, 2), (1, 8), (2, 3), (4, 7), (6, 7), (7, 13), (8, 13), (255, 300)]
)
def test_forged_consistency_proof_is_refused(size1: int, size2: int) -> None:
    proof = prove_consistency(size1, size2, reader(HASHES[:size2]))
    root1, root2 = defined_root(HASHES[:size1]), defined_root(HASHES[:size2])
    verify_consistency(size1, size2, proof, root1, root2)
    for forged in forgeries(proof):
        assert refused(verify_consistency, size1, size2, forged, root1, root2)
    for wrong in flips(root1):
        assert refused(verify_consistency, size1, size2, proof, wrong, root2)
    for wrong in flips(root2):
        assert refused(verify_consistency, size1, size2, proof, root1, wrong)


@pytest.mark.parametrize("changed", range(7))
def test_rewritten_leaf_fails_every_consistency_proof(changed: int) -> None:
    """No proof of the rewritten log convinces a verifier that kept the root of the first seven leaves."""
    rewritten = [*HASHES[:changed], leaf_hash(b"rewritten"), *HASHES[changed + 1 : 12]]
    kept, claimed = defined_root(HASHES[:7]), defined_root(rewritten)
    for honest in (HASHES[:12], rewritten):
        proof = prove_consistency(7, 12, reader(honest))
        assert refused(verify_consistency, 7, 12, proof, kept, claimed)


def test_proof_with_bytes_moved_between_hashes_is_refused() -> None:
    """A longer and a shorter hash can make up the same node, so lengths are checked first."""
    longer, shorter = HASHES[0] + HASHES[1][:1], HASHES[1][1:]
    tree_root = node_hash(HASHES[0], HASHES[1])
    assert node_hash(longer, shorter) == tree_root
    assert refused(verify_inclusion, longer, 0, 2, (shorter,), tree_root)
    assert refused(verify_consistency, 1, 2, (shorter,), longer, tree_root)


def test_proof_length_follows_from_the_sizes() -> None:
    """A proof that leads to the given roots is still refused when the tree is not that high."""
    read = reader(HASHES[:5])
    roots = {size: defined_root(HASHES[:size]) for size in range(6)}
    inclusion = prove_inclusion(1, 5, read)
    verify_inclusion(HASHES[1], 1, 5, inclusion, roots[5])
    for size in (2, 3, 4, 9):
        assert refused(verify_inclusion, HASHES[1], 1, size, inclusion, roots[5])
    assert refused(verify_inclusion, HASHES[1], 0, 1, (HASHES[0],), roots[2])
    consistency = prove_consistency(2, 5, read)
    verify_consistency(2, 5, consistency, roots[2], roots[5])
    assert refused(verify_consistency, 2, 3, consistency, roots[2], roots[5])
    assert refused(verify_consistency, 2, 9, consistency, roots[2], roots[5])
    assert refused(verify_consistency, 3, 5, (), roots[3], roots[5])


def test_consistency_proof_is_empty_only_for_the_empty_tree_and_equal_sizes() -> None:
    tree_root = defined_root(HASHES[:3])
    verify_consistency(0, 3, (), EMPTY_ROOT, tree_root)
    verify_consistency(0, 0, (), EMPTY_ROOT, EMPTY_ROOT)
    assert refused(verify_consistency, 0, 3, (), tree_root, tree_root)
    assert refused(verify_consistency, 0, 0, (), tree_root, tree_root)
    assert refused(verify_consistency, 0, 3, (HASHES[0],), EMPTY_ROOT, tree_root)


def test_trees_of_equal_size_are_consistent_only_with_equal_roots() -> None:
    tree_root, other = defined_root(HASHES[:3]), defined_root(HASHES[1:4])
    verify_consistency(3, 3, (), tree_root, tree_root)
    assert refused(verify_consistency, 3, 3, (), tree_root, other)
    assert refused(verify_consistency, 3, 3, (HASHES[0],), tree_root, tree_root)


def test_consistency_with_a_smaller_tree_is_refused() -> None:
    roots = defined_root(HASHES[:3]), defined_root(HASHES[:2])
    assert refused(verify_consistency, 3, 2, (), *roots)
    with pytest.raises(ProofError, match="cannot begin a tree"):
        prove_consistency(3, 2, reader(HASHES[:3]))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_inclusion_proof_beyond_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="no leaf"):
        prove_inclusion(index, size, reader(HASHES[:size]))
    with pytest.raises(ProofError, match="no leaf"):
        prove_inclusions([0, index], size, reader(HASHES[:size]))
