"""The sensible values of a policy's numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import Urgency
from contracts.errors import Refused
from contracts.records import plain
from sandbox import network as sample
from services.routing.domain.decision import Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.policy_bounds import BOUNDS, Bound
from services.routing.domain.policy_document import (
    LONGEST_ANSWER,
    SHORTEST_ANSWER,
    SHORTEST_REPORT,
    parse_policy,
)
from tests.unit.services.routing.samples import circumstances, organization

NAMES = [bound.pointer for bound in BOUNDS]


def place(document: dict[str, Any], pointer: str, value: float) -> None:
    *path, last = pointer.strip("/").split("/")
    for name in path:
        document = document[name]
    document[last] = value


def written(pointer: str, value: float, **more: Any) -> bytes:
    """Return a policy's document with one number changed."""
    document: dict[str, Any] = {**plain(RoutingPolicy()), "version": "tried", **more}
    place(document, pointer, value)
    return json.dumps(document).encode()


@pytest.mark.parametrize("bound", BOUNDS, ids=NAMES)
def test_number_is_accepted_at_its_extremes(bound: Bound) -> None:
    for value in (bound.lowest, bound.highest):
        assert bound.value(parse_policy(written(bound.pointer, value)).policy) == value


@pytest.mark.parametrize("bound", BOUNDS, ids=NAMES)
def test_number_beyond_its_extremes_is_refused_with_the_reason(bound: Bound) -> None:
    step = 0.01 if bound.highest < 1 else 1
    outside = [(bound.highest + step, f"At most {bound.highest}: {bound.above}")]
    if bound.lowest > 1:  # below 1 the contract refuses it
        outside.append((bound.lowest - step, f"At least {bound.lowest}: {bound.below}"))
    for value, reason in outside:
        with pytest.raises(Refused) as refused:
            parse_policy(written(bound.pointer, value))
        (error,) = refused.value.errors
        assert (error.pointer, error.detail[: len(reason)]) == (bound.pointer, reason)


@pytest.mark.parametrize("bound", [one for one in BOUNDS if one.practice], ids=lambda one: one.pointer)
def test_hub_for_practice_may_go_below(bound: Bound) -> None:
    value = bound.lowest - 1 if bound.lowest > 1 else bound.lowest
    assert bound.value(parse_policy(written(bound.pointer, value, practice=True)).policy) == value


def test_every_number_of_a_policy_has_bounds() -> None:
    def numbers(value: Any, pointer: str = "") -> set[str]:
        if isinstance(value, dict):
            return {one for name, part in value.items() for one in numbers(part, f"{pointer}/{name}")}
        return {pointer} if isinstance(value, (int, float)) and not isinstance(value, bool) else set()

    deadlines = {f"/{urgency}/{name}" for urgency in Urgency for name in ("answer", "progress")}
    weights = {f"/weights/{name}" for name in RoutingPolicy().weights.by_name()}
    # Bounded by the contract: how many offers at once, and the share of attempts out of turn.
    elsewhere = {"/emergency_offers", "/fairness/explore"}
    assert numbers(plain(RoutingPolicy())) <= {*NAMES, *deadlines, *weights, *elsewhere}


def sample_directory() -> Directory:
    """The sample network, in which everybody has a sealing key."""
    found, directory = sample.load(), Directory()
    key = organization("ru.any").sealing_key
    for one in found.organizations:
        directory.put_organization(replace(one, sealing_key=key))
    for agreement in found.agreements:
        directory.put_agreement(agreement)
    return directory


DIRECTORY = sample_directory()


def placed(policy: RoutingPolicy) -> set[str]:
    """Return the sample's referrals for which the policy finds somebody to ask."""
    found = set()
    for one in sample.load().referrals:
        given_ = circumstances(
            DIRECTORY,
            one.facts,
            sender=one.sender,
            full_for=policy.counts_as_full(one.facts.urgency),
            offers_per_sender=policy.offers_per_sender,
        )
        if decide("d", given_, policy, Trigger.submitted).ranked:
            found.add(one.key)
    return found


PLACED = placed(RoutingPolicy())


@given(
    values=st.fixed_dictionaries(
        {bound.pointer: st.sampled_from([bound.lowest, bound.highest]) for bound in BOUNDS}
    ).filter(lambda drawn: drawn["/offers_per_sender/least"] <= drawn["/offers_per_sender/most"]),
    answers=st.fixed_dictionaries(
        {
            urgency.value: st.sampled_from([SHORTEST_ANSWER, longest])
            for urgency, longest in LONGEST_ANSWER.items()
        }
    ),
    weights=st.fixed_dictionaries(
        {name: st.sampled_from([0.0, 1000.0]) for name in Weights().by_name()}
    ).filter(lambda drawn: any(drawn.values())),
)
def test_every_accepted_policy_places_the_sample_networks_referrals(
    values: dict[str, float], answers: dict[str, int], weights: dict[str, float]
) -> None:
    document: dict[str, Any] = {**plain(RoutingPolicy()), "version": "drawn", "weights": weights}
    for urgency, answer in answers.items():
        document[urgency] = {"answer": answer, "progress": SHORTEST_REPORT}
    for pointer, value in values.items():
        place(document, pointer, value)
    policy = parse_policy(json.dumps(document).encode()).policy
    assert placed(policy) == PLACED
    assert len(PLACED) > 5
