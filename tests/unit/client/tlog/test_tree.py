"""The Merkle tree against published values, and exhaustively for small trees."""

from __future__ import annotations

import itertools

import pytest

from kopuro_client.tlog import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    node_hash,
    prove_consistency,
    verify_consistency,
    verify_inclusion,
)
from tests.support.ct_vectors import CT_LEAVES, CT_ROOTS
from tests.unit.client.tlog.log_writer import mth, path, proof

HASHES = [leaf_hash(leaf) for leaf in CT_LEAVES]


def test_roots_match_published_values() -> None:
    for size, root in enumerate(CT_ROOTS):
        assert mth(HASHES[:size]).hex() == root  # checks log_writer, which other tests use
    assert EMPTY_ROOT.hex() == CT_ROOTS[0]


def test_published_inclusion_proof_verifies() -> None:
    published = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    hashes = [bytes.fromhex(text) for text in published]
    verify_inclusion(HASHES[0], 0, 8, hashes, bytes.fromhex(CT_ROOTS[8]))


def test_published_consistency_proof_verifies() -> None:
    published = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    hashes = [bytes.fromhex(text) for text in published]
    verify_consistency(6, 8, hashes, bytes.fromhex(CT_ROOTS[6]), bytes.fromhex(CT_ROOTS[8]))


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % at) for at in range(size)]


def test_inclusion_proofs_of_all_small_trees_verify_only_their_leaf() -> None:
    for size in range(1, 18):
        hashes = hashes_of(size)
        root = mth(hashes)
        for index in range(size):
            proved = path(index, hashes)
            verify_inclusion(hashes[index], index, size, proved, root)
            for other in range(-1, size + 2):
                if other != index:
                    with pytest.raises(ProofError):
                        verify_inclusion(hashes[index], other, size, proved, root)
            for wrong in (*shortened(proved), [*proved, hashes[0]], *flipped(proved)):
                with pytest.raises(ProofError):
                    verify_inclusion(hashes[index], index, size, wrong, root)


def test_consistency_proofs_of_all_small_trees_verify_only_their_prefix() -> None:
    for size1, size2 in itertools.combinations_with_replacement(range(18), 2):
        hashes = hashes_of(size2)
        root1, root2 = mth(hashes[:size1]), mth(hashes)
        proved = proof(size1, hashes)
        assert (
            prove_consistency(size1, size2, lambda n, at, of=hashes: mth(of[at << n : (at + 1) << n]))
            == proved
        )
        verify_consistency(size1, size2, proved, root1, root2)
        other = mth([*hashes_of(max(size1 - 1, 0)), leaf_hash(b"another")])
        wrongs = [(other, root2, proved)]
        if size1:  # the empty tree is a prefix of any tree
            wrongs.append((root1, other, proved))
        wrongs += [
            (root1, root2, wrong) for wrong in (*shortened(proved), [*proved, root1], *flipped(proved))
        ]
        for old, new, wrong in wrongs:
            with pytest.raises(ProofError):
                verify_consistency(size1, size2, wrong, old, new)


def shortened(hashes: list[bytes]) -> list[list[bytes]]:
    return [hashes[:-1]] if hashes else []


def flipped(hashes: list[bytes]) -> list[list[bytes]]:
    return [[*hashes[:at], leaf_hash(digest), *hashes[at + 1 :]] for at, digest in enumerate(hashes)]


def test_consistency_with_smaller_tree_is_refused() -> None:
    with pytest.raises(ProofError):
        verify_consistency(2, 1, [], mth(hashes_of(2)), mth(hashes_of(1)))
    with pytest.raises(ProofError):
        prove_consistency(2, 1, lambda *_: b"")


def test_hashes_of_wrong_length_are_refused() -> None:
    hashes = hashes_of(2)
    root = mth(hashes)
    assert node_hash(hashes[0][:31], hashes[0][31:] + hashes[1]) == root
    with pytest.raises(ProofError):
        verify_inclusion(hashes[0][:31], 0, 2, [hashes[0][31:] + hashes[1]], root)


def test_node_hash_is_refused_as_leaf() -> None:
    hashes = hashes_of(4)
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(hashes[0] + hashes[1]), 0, 2, [mth(hashes[2:])], mth(hashes))
