"""The explanation of a decision that its referral's sender reads: nothing exact of others' referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from contracts.codes import CapacityStatus, Urgency
from contracts.organization import Capacity
from contracts.records import dump, plain
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.fairness import Fairness
from services.routing.domain.observation import Observation, ServiceLoad
from services.routing.domain.places import Demand, DemandBySender
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.scoring import weighted_mean
from services.routing.domain.view import decision_view
from tests.unit.services.routing.samples import (
    HOUR,
    NOW,
    SENDER,
    circumstances,
    network,
    organization,
    service,
)

POLICY = RoutingPolicy(fairness=Fairness(explore=0.0, band=1.0))
BEFORE = NOW - 3 * HOUR
ROUTINE = Urgency.routine


def room(maximum: int | None) -> Capacity:
    return Capacity(status=CapacityStatus.capacity, updated_at=NOW - 90 * HOUR, maximum=maximum)


def seen(
    *,
    held: int = 0,
    demand: DemandBySender | None = None,
    full_since: dt.datetime | None = None,
    asked: dt.datetime = BEFORE,
    answered: int = 40,
    answer_seconds: int = 4000,
) -> Observation:
    return Observation(
        answered=answered,
        answer_seconds=answer_seconds,
        last_asked=asked,
        services={"legal": ServiceLoad(accepted=held, demand=demand or {})},
        full_since={} if full_since is None else {"legal": full_since},
    )


def decided(observed: Mapping[str, Observation], maximum: int | None = 10) -> Decision:
    directory = network(*(organization(name, service(capacity=room(maximum))) for name in observed))
    given = circumstances(
        directory,
        observed=lambda name: observed.get(name, Observation()),
        full_for=POLICY.counts_as_full(ROUTINE),
    )
    return decide("d1", given, POLICY, Trigger.submitted)


def shown(made: Decision, *, oversight: bool = False) -> dict[str, Any]:
    return decision_view(plain(made), Directory(), oversight=oversight)


# In each pair, another sender did more in the second one, earlier, or with more referrals.
PAIRS = {
    "held cases": (seen(held=1), seen(held=4)),
    "held cases of a busy one": (seen(held=6), seen(held=9)),
    "open offers": (seen(), seen(demand={("kg.other", ROUTINE): Demand(offers=5)})),
    "time of the latest offer": (seen(asked=BEFORE), seen(asked=BEFORE - HOUR)),
    "judged offers of a known one": (seen(answered=40), seen(answered=41)),
    "judged offers of a new one": (
        seen(answered=1, answer_seconds=100),
        seen(answered=2, answer_seconds=200),
    ),
    "answer times": (seen(answer_seconds=40 * 4000), seen(answer_seconds=40 * 5000)),
    "time of a decline": (seen(full_since=BEFORE), seen(full_since=NOW - 23 * HOUR)),
    "accepted referrals beyond a lowered maximum": (seen(held=10), seen(held=13)),
    "places behind the share": (
        seen(held=6, demand={(SENDER, ROUTINE): Demand(offers=4)}),
        seen(held=7, demand={(SENDER, ROUTINE): Demand(offers=4)}),
    ),
    "senders behind the share": (
        seen(demand={(SENDER, ROUTINE): Demand(offers=9), ("kg.other", ROUTINE): Demand(waiting=1)}),
        seen(
            demand={
                (SENDER, ROUTINE): Demand(offers=9),
                ("kg.other", ROUTINE): Demand(waiting=1),
                ("kg.third", ROUTINE): Demand(offers=1),
            }
        ),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_sender_reads_the_same_whatever_others_refer_within_a_class(pair: str) -> None:
    one, other = (decided({"ru.one": first, "ru.two": seen(asked=NOW - 8 * HOUR)}) for first in PAIRS[pair])
    assert dump(shown(one, oversight=True)) != dump(shown(other, oversight=True))
    assert dump(shown(one)) == dump(shown(other))


def test_staff_read_the_record_as_it_is() -> None:
    made = decided({"ru.one": seen(full_since=BEFORE), "ru.two": seen(held=3)})
    whole = shown(made, oversight=True)
    two, one = whole["candidates"]
    assert two["score"] == made.ranked[0].score
    assert {part["name"]: part["value"] for part in two["contributions"]}["load"] == 0.7
    [failed] = [rule for rule in one["rules"] if not rule["passed"]]
    assert failed["detail"]["declined_at"] == plain(BEFORE)


def test_sender_reads_within_which_time_a_decline_counts() -> None:
    [one] = shown(decided({"ru.one": seen(full_since=BEFORE)}))["candidates"]
    [failed] = [rule for rule in one["rules"] if not rule["passed"]]
    assert failed["reason"] == "declined_no_capacity"
    assert failed["detail"] == {"service": "legal", "within_hours": 24}


def test_sender_reads_its_own_offers_and_no_others() -> None:
    demand = {(SENDER, ROUTINE): Demand(offers=5), ("kg.other", ROUTINE): Demand(offers=5)}
    [one] = shown(decided({"ru.one": seen(demand=demand)}))["candidates"]
    [failed] = [rule for rule in one["rules"] if not rule["passed"]]
    assert (failed["reason"], failed["detail"]) == ("share_used", {"offers": 5})


def test_sender_reads_how_many_of_its_offers_it_has_withdrawn_and_until_when_they_count() -> None:
    withdrawn = {SENDER: {(ROUTINE, NOW): 10}, "kg.other": {(ROUTINE, NOW): 40}}
    [one] = shown(decided({"ru.one": Observation(withdrawn=withdrawn)}))["candidates"]
    [failed] = [rule for rule in one["rules"] if not rule["passed"]]
    assert failed["reason"] == "withdrawn_too_often"
    assert failed["detail"] == {"withdrawn": 10, "until": plain(NOW + HOUR)}


def test_shown_score_is_that_of_the_shown_values_and_the_order_stays() -> None:
    made = decided({"ru.one": seen(held=1), "ru.two": seen(held=4), "ru.three": seen(held=8)})
    for whole, coarse in zip(
        shown(made, oversight=True)["candidates"], shown(made)["candidates"], strict=True
    ):
        assert (whole["organization"], whole["rank"]) == (coarse["organization"], coarse["rank"])
        for one in (whole, coarse):
            values = {part["name"]: part["value"] for part in one["contributions"]}
            weights = {part["name"]: part["weight"] for part in one["contributions"]}
            assert one["score"] == weighted_mean(values, weights)


def test_never_asked_organization_keeps_the_responsiveness_of_one_that_nobody_knows() -> None:
    made = decided({"ru.one": Observation()})
    [one] = shown(made)["candidates"]
    values = {part["name"]: part["value"] for part in one["contributions"]}
    assert (values["responsiveness"], values["load"]) == (0.5, 0.75)


def test_view_changes_nothing_in_the_stored_record() -> None:
    stored = plain(decided({"ru.one": seen(held=3), "ru.two": seen(full_since=BEFORE)}))
    before = dump(stored)
    decision_view(stored, Directory(), oversight=False)
    assert dump(stored) == before
