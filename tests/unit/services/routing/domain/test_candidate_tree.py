"""The tree over a decision's candidates: documented bytes, one provable leaf for each organisation."""

from __future__ import annotations

import json
from hashlib import sha256, shake_256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kopuro_client.tlog import leaf_hash, verify_inclusion
from kopuro_client.tlog.errors import ProofError
from services.routing.domain.candidate_tree import (
    CandidateProof,
    candidates_root,
    prove_candidate,
)

ROOT = Path(__file__).parents[5]
REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"
SALT = bytes(range(32))
ORGANIZATIONS = st.lists(
    st.from_regex(r"[a-z]{2}\.[a-z0-9-]{1,20}", fullmatch=True), min_size=1, max_size=40, unique=True
)


def leaf_of(proof: CandidateProof) -> bytes:
    return (
        b"kopuro-candidate/1\n"
        + proof.salt
        + (
            f'{{"organization":"{proof.organization}","outcome":"{proof.outcome}",'
            f'"referral_id":"{proof.referral_id}"}}'
        ).encode()
    )


def check(proof: CandidateProof, root: str) -> None:
    verify_inclusion(
        leaf_hash(leaf_of(proof)),
        proof.index,
        proof.size,
        proof.path,
        bytes.fromhex(root.removeprefix("sha256:")),
    )


def test_tree_of_one_leaf_is_its_hash() -> None:
    salt = shake_256(b"kopuro-candidate/1 salt\n" + SALT).digest(32)
    leaf = (
        b"kopuro-candidate/1\n"
        + salt
        + f'{{"organization":"ru.moscow-union","outcome":"asked","referral_id":"{REFERRAL}"}}'.encode()
    )
    root = candidates_root(REFERRAL, ["ru.moscow-union"], ["ru.moscow-union"], SALT)
    assert root == "sha256:" + sha256(b"\x00" + leaf).hexdigest()


def test_decision_without_candidates_has_no_root() -> None:
    assert candidates_root(REFERRAL, [], (), SALT) is None


def test_services_of_one_organization_are_one_leaf() -> None:
    once = candidates_root(REFERRAL, ["ru.a", "ru.b"], ["ru.a"], SALT)
    assert candidates_root(REFERRAL, ["ru.b", "ru.a", "ru.b"], ["ru.a"], SALT) == once


@given(ORGANIZATIONS, st.data(), st.binary(min_size=32, max_size=32))
def test_every_leaf_is_proved(organizations: list[str], data: st.DataObject, salt: bytes) -> None:
    asked = data.draw(st.sets(st.sampled_from(organizations)))
    root = candidates_root(REFERRAL, organizations, asked, salt)
    assert root is not None
    for one in organizations:
        proof = prove_candidate(one, REFERRAL, organizations, asked, salt)
        assert proof.outcome == ("asked" if one in asked else "not_asked")
        check(proof, root)


@given(ORGANIZATIONS, st.data())
def test_changed_byte_of_leaf_path_or_root_is_refused(organizations: list[str], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(organizations))
    proof = prove_candidate(one, REFERRAL, organizations, [one], SALT)
    root = bytes.fromhex(str(candidates_root(REFERRAL, organizations, [one], SALT)).removeprefix("sha256:"))
    parts = [leaf_of(proof), root, *proof.path]
    at = data.draw(st.integers(0, len(parts) - 1))
    place = data.draw(st.integers(0, len(parts[at]) - 1))
    changed = bytearray(parts[at])
    changed[place] ^= data.draw(st.integers(1, 255))
    parts[at] = bytes(changed)
    leaf, changed_root, *path = parts
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(leaf), proof.index, proof.size, path, changed_root)


@given(ORGANIZATIONS, st.data())
def test_another_outcome_has_another_root(organizations: list[str], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(organizations))
    asked = candidates_root(REFERRAL, organizations, [one], SALT)
    assert candidates_root(REFERRAL, organizations, (), SALT) != asked


def test_proof_says_nothing_about_rank_or_other_organizations() -> None:
    organizations = [f"ru.organization-{number}" for number in range(50)]
    indices = [
        prove_candidate("ru.organization-0", REFERRAL, organizations, (), sha256(bytes([n])).digest()).index
        for n in range(60)
    ]
    # The salts decide the place: the first candidate is all over the tree.
    assert len(set(indices)) > 25
    proof = prove_candidate("ru.organization-0", REFERRAL, organizations, (), SALT)
    assert "ru.organization-1" not in repr(proof)


def test_salts_of_leaves_differ_and_hide_the_decisions_salt() -> None:
    names = [f"ru.{number}" for number in range(100)]
    salts = {prove_candidate(one, REFERRAL, names, (), SALT).salt for one in names}
    assert len(salts) == 100
    assert SALT not in salts


def test_organization_that_is_not_a_candidate_has_no_proof() -> None:
    with pytest.raises(ValueError, match="not among"):
        prove_candidate("ru.other", REFERRAL, ["ru.one"], (), SALT)


def test_documented_vector_holds() -> None:
    page = (ROOT / "docs" / "auditing.md").read_text()
    _, _, section = page.partition("### The commitment to the candidates\n")
    vector = json.loads(section.partition("```json\n")[2].partition("```")[0])
    salt, names, asked = bytes.fromhex(vector["salt"]), vector["organizations"], vector["asked"]
    assert candidates_root(vector["referral_id"], names, asked, salt) == vector["candidates"]
    proof = prove_candidate(vector["organization"], vector["referral_id"], names, asked, salt)
    assert (proof.salt.hex(), proof.index, proof.size) == (
        vector["leaf_salt"],
        vector["index"],
        vector["size"],
    )
    assert [digest.hex() for digest in proof.path] == vector["path"]
    assert leaf_of(proof) == b"kopuro-candidate/1\n" + proof.salt + vector["leaf"].encode()
    check(proof, vector["candidates"])
