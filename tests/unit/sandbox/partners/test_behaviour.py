"""The behaviour of each organisation of the sandbox that answers in a fixed way."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from contracts.codes import DeclineReason
from contracts.organization import Organization
from contracts.records import plain, read
from contracts.vocabularies import country_of
from sandbox.network import load
from sandbox.partners.behaviour import LATE, Act, Behaviour, Kind, act_on
from sandbox.partners.organizations import COUNTRY, NEED, REGIONS, organizations

OFFER: dict[str, Any] = {"offer_id": "o1", "referral_id": "r1", "deadline": "2026-05-01T09:00:00Z"}
DEADLINE = dt.datetime(2026, 5, 1, 9, 0, tzinfo=dt.UTC)
ACCEPT = Act(kind=Kind.accept, subject="o1")
CLOSE = Act(kind=Kind.close_loop, subject="r1")


@pytest.mark.parametrize(
    ("behaviour", "answer", "after_release"),
    [
        (Behaviour.accepts, ACCEPT, CLOSE),
        (Behaviour.silent, None, CLOSE),
        (Behaviour.late, Act(kind=Kind.accept, subject="o1", due=DEADLINE + LATE), CLOSE),
        (
            Behaviour.unreadable,
            ACCEPT,
            Act(kind=Kind.report_unreadable, subject="r1", reason="cannot_decrypt"),
        ),
        (Behaviour.no_report, ACCEPT, None),
        (Behaviour.hands_back, ACCEPT, Act(kind=Kind.hand_back, subject="r1", reason="no_capacity")),
    ],
)
def test_behaviour_decides_answer_and_what_follows(
    behaviour: Behaviour, answer: Act | None, after_release: Act | None
) -> None:
    assert act_on(behaviour, "offer.opened", OFFER, is_replaced=False) == answer
    assert act_on(behaviour, "case.released", OFFER, is_replaced=False) == after_release
    assert act_on(behaviour, "referral.withdrawn", OFFER, is_replaced=False) is None


def test_replaced_case_is_opened() -> None:
    assert act_on(Behaviour.unreadable, "case.released", OFFER, is_replaced=True) == CLOSE


def test_each_reason_of_the_catalogue_has_an_organization_that_declines_with_it() -> None:
    declining = {behaviour.reason: behaviour for behaviour in Behaviour if behaviour.reason is not None}
    assert set(declining) == set(DeclineReason)
    for reason, behaviour in declining.items():
        act = act_on(behaviour, "offer.opened", OFFER, is_replaced=False)
        assert act == Act(kind=Kind.decline, subject="o1", reason=reason)


def test_records_are_valid_and_each_has_a_region_of_its_own() -> None:
    records = organizations()
    assert [read(Organization, plain(one)) for one in records] == list(records)
    assert set(REGIONS) == set(Behaviour)
    own = [region for region in REGIONS.values() if region != COUNTRY]
    assert len(set(own)) == len(own) == len(Behaviour) - 1
    assert {country_of(region) for region in own} == {COUNTRY}


def test_sample_network_does_not_meet_the_need_there() -> None:
    offered = {
        area
        for organization in load().organizations
        for service in organization.services
        if NEED in service.needs
        for area in service.areas
    }
    assert COUNTRY not in {country_of(area) for area in offered}
