"""The effect of another policy on a decision: which rules exclude an organisation, and whose turn it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

import pytest

from contracts.codes import CapacityStatus
from contracts.organization import Capacity, Organization
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.fairness import Fairness
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.policy import FullFor, RoutingPolicy
from services.routing.domain.policy_effect import Why, effect_of, first_of
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    circumstances,
    facts,
    load,
    network,
    organization,
    service,
)

STEADY = Fairness(explore=0.0)
PATIENT = RoutingPolicy(version="patient", fairness=STEADY)
IMPATIENT = RoutingPolicy(version="impatient", fairness=STEADY, full_for=FullFor(routine=60))
STATED = Capacity(status=CapacityStatus.capacity, updated_at=NOW - DAY)
NEAR = organization("ru.near", service(capacity=STATED))
FAR = organization("ru.far", service(areas=("RU",)))


def decided(
    policy: RoutingPolicy, seen: Mapping[str, Observation], *receivers: Organization | str
) -> Decision:
    given = circumstances(
        network(*receivers),
        facts(),
        observed=lambda name: seen.get(name, NOTHING_OBSERVED),
        full_for=policy.counts_as_full(facts().urgency),
    )
    return decide("d", given, policy, Trigger.submitted)


@pytest.mark.parametrize(("before", "after"), [(PATIENT, IMPATIENT), (IMPATIENT, PATIENT)])
def test_effect_names_the_rules_that_exclude_only_under_one_policy(
    before: RoutingPolicy, after: RoutingPolicy
) -> None:
    seen = {"ru.near": Observation(answered=1, full_since={"legal": NOW - HOUR})}
    effect = effect_of(decided(before, seen, NEAR, FAR), decided(after, seen, NEAR, FAR), at_once=(1, 1))
    assert effect is not None
    (near,) = [one for one in effect.standings if one.organization == "ru.near"]
    rules = ((), ("capacity_not_declined",))
    assert (near.failures, near.lifted) == (rules if after is IMPATIENT else rules[::-1])


@pytest.mark.parametrize(
    ("moments", "held", "why", "tied"),
    [
        ((NOW - DAY, NOW - HOUR), 0, Why.turn, 1),
        ((NOW - HOUR, NOW - HOUR), 2, Why.turn_by_score, 2),
        ((NOW - HOUR, NOW - HOUR), 0, Why.turn_by_lot, 2),
        ((None, NOW - HOUR), 0, Why.turn, 1),
        ((None, None), 2, Why.turn_by_score, 2),
        ((None, None), 0, Why.turn_by_lot, 2),
    ],
)
def test_first_of_several_asked_least_recently_comes_first_by_score_or_lot(
    moments: tuple[dt.datetime | None, ...], held: int, why: Why, tied: int
) -> None:
    one, two = (
        replace(load(accepted=count), last_asked=at) for count, at in zip((0, held), moments, strict=True)
    )
    first = first_of(decided(PATIENT, {"ru.one": one, "ru.two": two}, "ru.one", "ru.two"))
    assert first is not None
    assert (first.why, first.equals, first.tied) == (why, 2, tied)
    if why is not Why.turn_by_lot:
        assert first.organization == "ru.one"
