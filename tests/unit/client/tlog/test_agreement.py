"""The verifier agrees with pymerkle, an independent implementation, on random trees."""

from __future__ import annotations

import random

import pymerkle
import pytest

from kopuro_client.tlog import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    prove_consistency,
    verify_consistency,
    verify_inclusion,
)
from tests.long_run import times
from tests.unit.client.tlog import log_writer

TREES = times(2_000, 10_000)
SEED = 20261121


def test_verifier_agrees_with_pymerkle_on_random_trees() -> None:
    chance = random.Random(SEED)
    assert pymerkle.InmemoryTree().get_root() == EMPTY_ROOT
    for _ in range(TREES):
        leaves = [chance.randbytes(chance.randrange(12)) for _ in range(chance.randint(1, 24))]
        reference = pymerkle.InmemoryTree.init_from_entries(leaves)
        size = chance.randint(1, len(leaves))
        index = chance.randrange(size)
        root = reference.get_root(size)
        path = reference.prove_inclusion(index + 1, size).path  # it counts leaves from 1
        verify_inclusion(leaf_hash(leaves[index]), index, size, path[1:], root)
        hashes = [leaf_hash(leaf) for leaf in leaves]
        assert path[1:] == log_writer.path(index, hashes[:size])

        earlier = chance.randint(1, size)
        old_root = reference.get_root(earlier)
        proof = log_writer.proof(earlier, hashes[:size])
        verify_consistency(earlier, size, proof, old_root, root)
        assert prove_consistency(earlier, size, lambda level, at, of=hashes: node(of, level, at)) == proof

        forged = bytes(chance.randbytes(32))
        with pytest.raises(ProofError):
            verify_inclusion(forged, index, size, path[1:], root)
        if earlier < size:
            with pytest.raises(ProofError):
                verify_consistency(earlier, size, proof, forged, root)
            with pytest.raises(ProofError):
                verify_consistency(earlier, size, proof, old_root, forged)


def node(hashes: list[bytes], level: int, index: int) -> bytes:
    return log_writer.mth(hashes[index << level : (index + 1) << level])
