"""Why an organisation that was considered for a referral was not asked."""

from __future__ import annotations

from typing import Any

import pytest

from services.routing.domain.passed_over import (
    CLASS_OF_RULE,
    OTHERS_FIRST,
    PERSONS_CHOICE,
    UNCOUNTED_RULES,
    first_reasons,
    passed_over,
)
from services.routing.domain.rules import RULES


def candidate(organization: str, *failed: str, score: float | None = None) -> dict[str, Any]:
    return {"organization": organization, "score": score, "failures": [{"rule": rule} for rule in failed]}


def decision(*candidates: dict[str, Any], asked: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"candidates": candidates, "inputs": {"asked": asked}}


def test_every_rule_has_one_class() -> None:
    assert {*CLASS_OF_RULE, *UNCOUNTED_RULES} == set(RULES)
    assert UNCOUNTED_RULES.isdisjoint(CLASS_OF_RULE)


def test_rules_about_consent_and_exclusion_are_one_class() -> None:
    merged = {rule for rule, reason in CLASS_OF_RULE.items() if reason == PERSONS_CHOICE}
    assert merged == {"consent_given", "not_excluded", "kind_consented", "storage_allowed"}


@pytest.mark.parametrize("rule", ["consent_given", "not_excluded", "kind_consented", "storage_allowed"])
def test_persons_choice_hides_the_other_rules_that_failed(rule: str) -> None:
    record = decision(candidate("kg.a", "agreement_in_force", rule))
    assert passed_over([record], asked=()) == {"kg.a": PERSONS_CHOICE}


def test_eligible_organization_without_an_offer_came_after_others() -> None:
    record = decision(candidate("kg.a", score=0.5), candidate("kg.b", score=0.9))
    assert passed_over([record], asked={"kg.b"}) == {"kg.a": OTHERS_FIRST}


def test_organization_counts_for_its_closest_service() -> None:
    record = decision(candidate("kg.a", "area_served", "capacity_left"), candidate("kg.a", "language_shared"))
    assert passed_over([record], asked=()) == {"kg.a": "language"}


def test_organization_counts_as_in_the_latest_decision_that_considered_it() -> None:
    first = decision(candidate("kg.a", "capacity_left"), candidate("kg.b", "open_now"))
    later = decision(candidate("kg.a", "agreement_in_force"))
    assert passed_over([first, later], asked=()) == {"kg.a": "agreement", "kg.b": "hours"}


@pytest.mark.parametrize(
    "record",
    [
        decision(candidate("kg.a", "open_now", "not_the_sender")),
        decision(candidate("kg.a", "capacity_left", "not_asked_before")),
        decision(candidate("kg.a", "capacity_left"), asked=("kg.a",)),
        {},
    ],
    ids=["own referral", "asked before", "asked in an earlier week", "erased record"],
)
def test_own_asked_and_erased_referrals_do_not_count(record: dict[str, Any]) -> None:
    assert passed_over([record], asked=()) == {}


def test_decision_of_an_earlier_build_has_no_inputs() -> None:
    assert passed_over([{"candidates": [candidate("kg.a", "rule_of_another_build")]}], asked=()) == {
        "kg.a": "other_rule"
    }


def test_parts_of_a_referral_count_once_under_the_first_reason_and_not_if_one_was_asked() -> None:
    parts = [{"ru.one": "hours", "ru.two": "area"}, {"ru.one": "capacity", "ru.three": "hours"}]
    assert first_reasons(parts, {"ru.two"}) == {"ru.one": "capacity", "ru.three": "hours"}
    assert first_reasons([], ()) == {}
