"""The proofs that outlast their decision."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.candidate_tree import prove_candidate
from services.routing.domain.kept_proofs import kept_proof, kept_proofs

REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"
SALT = bytes(range(32))
NAMES = st.lists(
    st.from_regex(r"[a-z]{2}\.[a-z0-9]{1,9}", fullmatch=True), min_size=1, max_size=12, unique=True
)


@given(names=NAMES, drawn=st.data())
def test_kept_proof_is_that_of_the_decision(names: list[str], drawn: st.DataObject) -> None:
    asked = drawn.draw(st.lists(st.sampled_from(names), unique=True))
    kept = json.loads(json.dumps(kept_proofs(REFERRAL, names, asked, SALT)))
    assert set(kept) == set(asked)
    for name in asked:
        assert kept_proof(kept, name, REFERRAL) == prove_candidate(name, REFERRAL, names, asked, SALT)


def test_nothing_is_kept_of_candidates_that_were_not_asked() -> None:
    kept = kept_proofs(REFERRAL, ["kg.one", "kg.two"], ["kg.one"], SALT)
    assert "kg.two" not in str(kept)
    assert kept_proof(kept, "kg.two", REFERRAL) is None


@pytest.mark.parametrize(("asked", "salt"), [(None, SALT), (["kg.one"], None)])
def test_decision_of_an_earlier_build_has_no_proofs(asked: list[str] | None, salt: bytes | None) -> None:
    assert kept_proofs(REFERRAL, ["kg.one"], asked, salt) == {}


def test_asked_organization_that_is_not_a_candidate_has_no_proof() -> None:
    assert kept_proofs(REFERRAL, ["kg.one"], ["kg.two"], SALT) == {}


@pytest.mark.parametrize(
    "altered",
    [{}, {"salt": 1}, {"salt": "no base64"}, {"index": "0"}, {"path": None}, {"path": ["no base64"]}],
)
def test_altered_proof_is_refused(altered: dict[str, Any]) -> None:
    kept = kept_proofs(REFERRAL, ["kg.one", "kg.two"], ["kg.one"], SALT)
    stored = {**kept["kg.one"], **altered} if altered else {}
    with pytest.raises(ValueError, match=r"."):
        kept_proof({"kg.one": stored}, "kg.one", REFERRAL)
