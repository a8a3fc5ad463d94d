"""Our tree and an implementation that shares no code with it (pymerkle) agree on random trees."""

from __future__ import annotations

from typing import Any

import pymerkle
from hypothesis import given, settings
from hypothesis import strategies as st

from kopuro_client.tlog import verify_consistency, verify_inclusion
from services.audit.log.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    HashReader,
    Proof,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
)
from tests.long_run import times

# The shape of a tree is its size alone; drawn lists would nearly all be short ones.
leaves = st.builds(
    lambda size, prefix: [prefix + b"%d" % number for number in range(size)],
    st.integers(1, 300),
    st.binary(max_size=40),
)
often = settings(max_examples=times(60, 300), deadline=None)


def reader(data: list[bytes]) -> HashReader:
    _, rows = Frontier().grow([leaf_hash(leaf) for leaf in data])
    return lambda level, index: rows[level].hashes[index]


def consistency_as_the_rfc_writes_it(proof: Any) -> Proof:
    """pymerkle's path begins at the first new leaf: up to the old tree's edge it makes one hash.

    The RFC leaves out the hash of the old tree when that is one perfect subtree, or the whole.
    """
    if proof.prior_size == proof.size:
        return ()
    edge = proof.subset.index(1)
    beside = proof.path[0]
    for digest in proof.path[1:edge]:
        beside = proof.hasher.hash_pair(beside, digest)
    perfect = proof.prior_size.bit_count() == 1
    first = () if perfect else (proof.path[edge],)
    return (*first, beside, *proof.path[edge + 1 :])


def test_empty_tree_root_agrees_with_pymerkle() -> None:
    assert pymerkle.InmemoryTree().get_root() == EMPTY_ROOT


@often
@given(leaves)
def test_roots_agree_with_pymerkle(data: list[bytes]) -> None:
    theirs = pymerkle.InmemoryTree.init_from_entries(data)
    for size in {0, 1, len(data) // 2, len(data)}:
        assert Frontier().extend(leaf_hash(leaf) for leaf in data[:size]).root() == theirs.get_root(size)


@often
@given(leaves, st.data())
def test_inclusion_proofs_agree_with_pymerkle(data: list[bytes], draw: st.DataObject) -> None:
    theirs = pymerkle.InmemoryTree.init_from_entries(data)
    size = draw.draw(st.integers(1, len(data)))
    index = draw.draw(st.integers(0, size - 1))
    leaf, tree_root = leaf_hash(data[index]), theirs.get_root(size)
    proof = theirs.prove_inclusion(index + 1, size)  # it counts leaves from 1

    ours = prove_inclusion(index, size, reader(data))
    assert [leaf, *ours] == proof.path
    verify_inclusion(leaf, index, size, proof.path[1:], tree_root)
    proof.path = [leaf, *ours]
    pymerkle.verify_inclusion(leaf, tree_root, proof, index=index + 1, size=size)


@often
@given(leaves, st.data())
def test_consistency_proofs_agree_with_pymerkle(data: list[bytes], draw: st.DataObject) -> None:
    theirs = pymerkle.InmemoryTree.init_from_entries(data)
    size2 = draw.draw(st.integers(1, len(data)))
    size1 = draw.draw(st.integers(1, size2))
    root1, root2 = theirs.get_root(size1), theirs.get_root(size2)
    proof = consistency_as_the_rfc_writes_it(theirs.prove_consistency(size1, size2))

    assert prove_consistency(size1, size2, reader(data)) == proof
    verify_consistency(size1, size2, proof, root1, root2)
