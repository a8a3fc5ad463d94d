"""Damaged records: a stored decision that cannot be made again is named, whatever is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import DisclosureClass
from contracts.organization import ApprovedService
from contracts.records import plain
from services.routing.domain.decision import Trigger, decide
from services.routing.domain.fairness import Fairness
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import DirectoryStates, NotReproducible, completed, made_again
from services.routing.domain.stored_decision import StoredDecision
from tests.unit.services.routing.samples import (
    NOW,
    SENDER,
    agreement,
    circumstances,
    facts,
    network,
    organization,
    service,
)

DIRECTORY = network("ru.one", "ru.two")
POLICY = RoutingPolicy()
LAST_MOMENT = "9999-12-31T23:59:59+00:00"


def stored() -> dict[str, Any]:
    given = circumstances(DIRECTORY, facts(), sender=SENDER)
    record: dict[str, Any] = plain(
        decide("018f0000-0000-7000-9000-000000000001", given, POLICY, Trigger.submitted)
    )
    return record


@pytest.mark.parametrize(
    "damage",
    [
        {"rules": 5},
        {"inputs": None},
        {"inputs": []},
        {"decided_at": "2026-03-02T09:00:00"},
        {"decided_at": 7},
        {"trigger": "whim"},
        {"observed": {"ru.one": {"full_since": {"legal": LAST_MOMENT}}}},
        {"observed": {"ru.one": {"services": {"legal": {"demand": [["kg.a", "whenever", 1, 0]]}}}}},
        {"observed": {"ru.one": []}},
        {"asked": [{}]},
    ],
    ids=str,
)
def test_damaged_record_is_not_reproducible(damage: dict[str, Any]) -> None:
    record = stored()
    for name, value in damage.items():
        (record if name in record else record["inputs"])[name] = value
    with pytest.raises(NotReproducible):
        made_again(record, sender=SENDER, facts=facts(), policy=POLICY, directory=DIRECTORY)


def test_undamaged_record_is_made_again() -> None:
    record = stored()
    again = made_again(record, sender=SENDER, facts=facts(), policy=POLICY, directory=DIRECTORY)
    assert plain(again) == record


def test_decision_of_a_build_without_reasons_about_the_person_is_made_again() -> None:
    record = stored()
    record["rules"].remove("not_declined_for_person")
    del record["inputs"]["declined_for_person"]
    del record["inputs"]["approvals_serve_person"]
    again = made_again(record, sender=SENDER, facts=facts(), policy=POLICY, directory=DIRECTORY)
    assert plain(again) == completed(record)
    assert plain(again)["rules"] == stored()["rules"]


def test_decision_that_counted_an_approval_for_others_is_made_again() -> None:
    needs = ("legal.wage_claim", "protection.trafficking")
    approval = ApprovedService(service="shelter", needs=needs[1:], by="kg.coordinator", at=NOW)
    elsewhere = service(id="shelter", needs=needs[1:], areas=("RU-SPE",))
    receiver = replace(
        organization("ru.one", service(needs=needs[:1]), elsewhere), approved_services=(approval,)
    )
    directory = network(receiver, agreements=(agreement(disclosure=DisclosureClass.sensitive),))
    given = circumstances(directory, facts(needs=needs), sender=SENDER, approvals_serve_person=False)
    before = decide("018f0000-0000-7000-9000-000000000002", given, POLICY, Trigger.submitted)
    assert [one.organization for one in before.ranked] == ["ru.one"]
    record = plain(before)
    del record["inputs"]["approvals_serve_person"]  # which the build that decided did not record

    again = made_again(record, sender=SENDER, facts=facts(needs=needs), policy=POLICY, directory=directory)
    assert plain(again) == completed(record) == plain(before)

    now = decide(before.id, replace(given, approvals_serve_person=True), POLICY, Trigger.submitted)
    assert now.ranked == []


def test_decision_for_which_nobody_was_unknown_is_made_again() -> None:
    answered = Observation(answered=10, answer_seconds=6000, last_asked=NOW)
    given = circumstances(
        DIRECTORY,
        facts(),
        sender=SENDER,
        observed=lambda name: answered if name == "ru.one" else NOTHING_OBSERVED,
        unknown_may_be_equal=False,
    )
    policy = RoutingPolicy(fairness=Fairness(explore=0.0))
    before = decide("018f0000-0000-7000-9000-000000000003", given, policy, Trigger.submitted)
    assert [one.organization for one in before.ranked] == ["ru.one", "ru.two"]
    record = plain(before)
    # The members that the build that decided did not record.
    del record["inputs"]["unknown_may_be_equal"]
    del record["turn"]["benefit"]
    for contender in record["turn"]["organizations"].values():
        del contender["unknown"]

    again = made_again(record, sender=SENDER, facts=facts(), policy=policy, directory=DIRECTORY)
    assert plain(again) == completed(record) == plain(before)

    now = decide(before.id, replace(given, unknown_may_be_equal=True), policy, Trigger.submitted)
    assert [one.organization for one in now.ranked] == ["ru.two", "ru.one"]


@pytest.mark.parametrize("version", [-5, None, "7", True, 1.5])
def test_impossible_version_of_the_directory_counts_as_0(version: object) -> None:
    damaged = StoredDecision(id="one", referral_id="", record=b"{}", values={"directory_version": version})
    assert DirectoryStates((), lambda _: None).at(damaged.version).version == 0
