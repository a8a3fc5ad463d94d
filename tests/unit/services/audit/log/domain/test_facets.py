"""The facets of events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.log.domain.facets import facets_of

FACTS: dict[str, Any] = {
    "needs": ["legal.wage_claim", "legal.work_permit", "shelter"],
    "urgency": "urgent",
    "region": "RU-MOW",
    "stage": "in_destination",
    "origin_country": "KG",
    "age_band": "25_59",
    "sex": "female",
}


def found(type: str, data: dict[str, Any]) -> set[tuple[str, str]]:
    facets = facets_of(type, "/kg/intake", data)
    assert len(set(facets)) == len(facets), "a facet is a row of a table with a unique key"
    return set(facets)


def test_submission_has_facets_of_its_situation_with_groups_and_countries() -> None:
    data = {"referral_id": "r", "sender": "kg.osh-legal-aid", "facts": FACTS}
    assert found("kopuro.referral.submitted.v1", data) == {
        ("actor", "/kg/intake"),
        ("actor", "kg.osh-legal-aid"),
        ("need", "legal.wage_claim"),
        ("need", "legal.work_permit"),
        ("need", "legal"),
        ("need", "shelter"),
        ("urgency", "urgent"),
        ("region", "RU-MOW"),
        ("region", "RU"),
        ("stage", "in_destination"),
        ("origin", "KG"),
        ("corridor", "KG-RU"),
        ("age_band", "25_59"),
        ("sex", "female"),
    }


def test_offer_has_no_situation_facets_and_no_receiver_as_actor() -> None:
    data = {"organization": "ru.moscow-union", "sender": "kg.osh-legal-aid", "facts": FACTS}
    assert found("kopuro.offer.opened.v1", data) == {("actor", "/kg/intake")}


def test_decision_of_the_staff_has_everybody_who_took_part_as_actor() -> None:
    data = {"organization": "kg.osh-legal-aid", "requested_by": "aigul", "by": "bakyt"}
    assert found("kopuro.approval.granted.v1", data) == {
        ("actor", "/kg/intake"),
        ("actor", "aigul"),
        ("actor", "bakyt"),
    }
    data = {"organization": "kg.osh-legal-aid", "by": "aigul", "approved_by": "bakyt"}
    assert ("actor", "bakyt") in found("kopuro.sealing_key.replaced.v1", data)


@pytest.mark.parametrize(
    ("type", "data", "actor"),
    [
        ("kopuro.answer.submitted.v1", {"organization": "ru.moscow-union"}, "ru.moscow-union"),
        ("kopuro.history.read.v1", {"reader": "auditor"}, "auditor"),
        ("kopuro.placement.submitted.v1", {"organization": "x.y", "coordinator": "ann"}, "ann"),
        ("kopuro.placement.refused.v1", {"organization": "x.y", "coordinator": "ann"}, "ann"),
        ("kopuro.coordinator_withdrawal.submitted.v1", {"organization": "x.y", "coordinator": "ann"}, "ann"),
    ],
)
def test_actor_facet_is_the_submitter_or_reader(type: str, data: dict[str, Any], actor: str) -> None:
    assert found(type, data) == {("actor", "/kg/intake"), ("actor", actor)}


def test_coordinator_notified_of_an_answer_is_not_its_actor() -> None:
    answered = {"organization": "x.y", "coordinator": "ann", "result": "declined"}
    assert found("kopuro.placement.answered.v1", answered) == {("actor", "/kg/intake")}


def test_outcome_and_record_have_facets() -> None:
    assert ("outcome", "resolved") in found("kopuro.referral.completed.v1", {"outcome": "resolved"})
    changed = {"revision": 1, "organization": {"id": "kg.osh-legal-aid", "kind": "ngo"}}
    assert ("record", "kg.osh-legal-aid") in found("kopuro.organization.changed.v1", changed)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["reader", "outcome", "facts", "organization", "sender", *FACTS])


@given(st.dictionaries(names, json), st.dictionaries(names, json))
def test_facets_of_malformed_data_fit_the_table(data: dict[str, Any], facts: dict[str, Any]) -> None:
    for facet, value in found("kopuro.referral.submitted.v1", {"facts": facts} | data):
        assert facet
        assert 0 < len(value) <= 200
