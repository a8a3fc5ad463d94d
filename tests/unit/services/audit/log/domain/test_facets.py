"""What an event is found by; of what it may hold besides, nothing."""

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


def test_a_submission_is_found_by_the_situation_it_states_with_groups_and_countries() -> None:
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


def test_an_offer_does_not_repeat_the_situation_and_is_no_act_of_who_is_asked() -> None:
    data = {"organization": "ru.moscow-union", "sender": "kg.osh-legal-aid", "facts": FACTS}
    assert found("kopuro.offer.opened.v1", data) == {("actor", "/kg/intake")}


@pytest.mark.parametrize(
    ("type", "data", "actor"),
    [
        ("kopuro.answer.submitted.v1", {"organization": "ru.moscow-union"}, "ru.moscow-union"),
        ("kopuro.history.read.v1", {"reader": "auditor"}, "auditor"),
        ("kopuro.placement.submitted.v1", {"organization": "x.y", "coordinator": "ann"}, "ann"),
        ("kopuro.placement.refused.v1", {"organization": "x.y", "coordinator": "ann"}, "ann"),
    ],
)
def test_who_spoke_or_looked_is_the_actor(type: str, data: dict[str, Any], actor: str) -> None:
    assert found(type, data) == {("actor", "/kg/intake"), ("actor", actor)}


def test_coordinator_who_is_told_of_an_answer_is_not_its_actor() -> None:
    answered = {"organization": "x.y", "coordinator": "ann", "result": "declined"}
    assert found("kopuro.placement.answered.v1", answered) == {("actor", "/kg/intake")}


def test_an_outcome_and_a_record_are_found_too() -> None:
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
def test_data_of_any_shape_has_facets_that_a_table_can_hold(
    data: dict[str, Any], facts: dict[str, Any]
) -> None:
    for facet, value in found("kopuro.referral.submitted.v1", {"facts": facts} | data):
        assert facet
        assert 0 < len(value) <= 200
