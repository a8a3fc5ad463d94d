"""The conditions of a service that a decision names: shown while the directory has the record it read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.codes import AgeBand, Sex, SpecialCategory
from contracts.organization import Eligibility
from contracts.records import dump, plain
from services.routing.domain.conditions import MEMBERS
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.view import decision_view
from tests.unit.services.routing.samples import circumstances, network, organization, service

BOUNDS = Eligibility(
    sexes=(Sex.female,),
    age_bands=(AgeBand.years_12_17,),
    special_categories=(SpecialCategory.trafficking_victim, SpecialCategory.forced_labour),
)
SHELTER = organization("ru.shelter", service(id="open"), service(id="closed", eligibility=BOUNDS))


def decided(directory: Directory) -> Decision:
    return decide("d1", circumstances(directory), RoutingPolicy(), Trigger.submitted)


def rule_of(stored: dict[str, Any], directory: Directory, service_id: str = "closed") -> dict[str, Any]:
    view = decision_view(stored, directory)
    [candidate] = [one for one in view["candidates"] if one["service"] == service_id]
    rules: list[dict[str, Any]] = candidate["rules"]
    return next(one for one in rules if one["rule"] == "person_eligible")


def test_view_says_whom_the_service_is_for() -> None:
    directory = network()
    directory.put_organization(SHELTER, 3)
    rule = rule_of(plain(decided(directory)), directory)
    assert rule["detail"] == {"unmet": ["sex", "age_band", "special_categories"]}
    assert rule["conditions"] == {
        "sex": ["female"],
        "age_band": ["12_17"],
        "special_categories": ["trafficking_victim", "forced_labour"],
    }
    assert json.loads(json.dumps(rule)) == rule


def test_conditions_are_left_out_once_the_record_is_replaced() -> None:
    directory = network()
    directory.put_organization(SHELTER, 3)
    stored = plain(decided(directory))
    for changed, revision in ((SHELTER, 4), (organization("ru.shelter", service(id="open")), 3)):
        directory.put_organization(changed, revision)
        rule = rule_of(stored, directory)
        assert rule["detail"]["unmet"]
        assert "conditions" not in rule
    assert "conditions" not in rule_of(stored, Directory())


def test_only_a_failed_condition_is_named() -> None:
    directory = network()
    directory.put_organization(SHELTER, 3)
    assert "conditions" not in rule_of(plain(decided(directory)), directory, "open")


def test_the_recorded_decision_does_not_have_the_conditions() -> None:
    directory = network()
    directory.put_organization(SHELTER, 3)
    assert b"trafficking_victim" not in dump(decided(directory))


@pytest.mark.parametrize("name", MEMBERS)
def test_each_name_has_a_member_of_the_record(name: str) -> None:
    assert hasattr(BOUNDS, MEMBERS[name])
