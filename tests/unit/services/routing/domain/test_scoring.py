"""The score: the direction of each contribution, fair ties, and the range from 0 to 1."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import CapacityStatus, DisclosureClass, Funding
from contracts.organization import Capacity, Organization
from contracts.vocabularies import codes, need_group
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.observation import Observation
from services.routing.domain.offered_service import Needs
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.scoring import Scoring
from tests.unit.services.routing.samples import (
    NOW,
    agreement,
    circumstances,
    facts,
    load,
    network,
    offered_service,
    organization,
    service,
)

NAME = "ru.one"


def scored(
    receiver: Organization | None = None,
    referral_facts: Any = None,
    seen: Any = None,
    weights: Weights | None = None,
) -> tuple[dict[str, float], float]:
    directory = network(receiver or organization(NAME))
    scoring = Scoring(circumstances(directory, referral_facts), weights or Weights())
    found, score = scoring.scored(offered_service(directory, NAME), seen or Observation())
    return dict(found), score


def values(
    receiver: Organization | None = None, referral_facts: Any = None, seen: Any = None
) -> dict[str, float]:
    return scored(receiver, referral_facts, seen)[0]


def of_service(name: str, **changes: Any) -> float:
    return values(organization(NAME, service(**changes)))[name]


def capacity(*, days: float = 0, maximum: int | None = None) -> Capacity:
    stated = NOW - dt.timedelta(days=days)
    return Capacity(status=CapacityStatus.capacity, updated_at=stated, maximum=maximum)


def is_falling(numbers: list[float]) -> bool:
    return all(a > b for a, b in pairwise(numbers))


def test_score_rises_with_covered_needs() -> None:
    needs = ("legal.wage_claim", "health.primary_care", "work")
    found = [
        values(organization(NAME, service(needs=offered)), facts(needs=needs))["needs_covered"]
        for offered in (("legal", "health", "work.job_search"), ("legal", "health"), ("legal",))
    ]
    assert found == pytest.approx([1, 2 / 3, 1 / 3], abs=1e-6)


@pytest.mark.parametrize(
    "needs",
    [
        ("legal.wage_claim",),
        ("legal",),
        # A need of this group requires an approval, which the service does not have.
        ("health",),
        ("health", "legal"),
        ("legal.wage_claim", "health"),
    ],
)
@pytest.mark.parametrize("areas", [("RU-MOW",), ("RU",)])
def test_search_scores_its_services_as_they_are_scored_alone(
    needs: tuple[str, ...], areas: tuple[str, ...]
) -> None:
    offered = service(needs=("legal.wage_claim", "health.tb"), areas=areas)
    allowed = agreement(disclosure=DisclosureClass.sensitive)
    directory = network(organization(NAME, offered), agreements=(allowed,))
    given = circumstances(directory, facts(needs=needs))
    alone = Scoring(given, Weights()).scored(offered_service(directory, NAME), Observation())
    decision = decide("decision", given, RoutingPolicy(), Trigger.submitted)
    (candidate,) = decision.ranked
    assert (candidate.contributions, candidate.score) == alone


def test_region_scores_nearer_than_country() -> None:
    assert of_service("nearness", areas=("RU-MOW",)) > of_service("nearness", areas=("RU",))


def test_first_language_scores_above_other_language_above_interpreter() -> None:
    referral_facts = facts(languages=("tg", "ru"))
    found = [
        values(organization(NAME, service(languages=spoken, interpretation=("tg",))), referral_facts)[
            "language"
        ]
        for spoken in (("tg",), ("ru",), ("kk",))
    ]
    assert is_falling(found)


def test_responsiveness_rises_with_answers_and_speed() -> None:
    found = [
        values(seen=seen)["responsiveness"]
        for seen in (
            Observation(answered=10, answer_seconds=10 * 600),
            Observation(answered=10, answer_seconds=10 * 7200),
            Observation(answered=10, answer_seconds=10 * 86400),
            Observation(answered=9, expired=9, answer_seconds=9 * 86400),
            Observation(expired=3),
        )
    ]
    assert is_falling(found)
    assert found[0] == 1.0
    assert found[-1] == 0.0


def test_quick_acceptances_that_are_handed_back_earn_nothing_for_speed() -> None:
    def responsiveness(**counts: Any) -> float:
        return values(seen=Observation(**counts))["responsiveness"]

    assert responsiveness(answered=9, returned=9) == values()["responsiveness"] == 0.5
    # Nor do they make the mean of the slow answers look better.
    slow = 86400
    assert responsiveness(answered=10, returned=9, answer_seconds=slow) < responsiveness(
        answered=1, answer_seconds=slow
    )
    assert responsiveness(answered=10, returned=1, answer_seconds=9 * 60) == 0.95


def test_responsiveness_of_unknown_organization_is_neutral() -> None:
    unknown = values()["responsiveness"]
    assert 0 < unknown < values(seen=Observation(answered=1, answer_seconds=60))["responsiveness"]


@pytest.mark.parametrize("maximum", [None, 100])
def test_load_score_falls_with_accepted_referrals(maximum: int | None) -> None:
    receiver = organization(NAME, service(capacity=capacity(maximum=maximum)))
    assert is_falling([values(receiver, seen=load(accepted=held))["load"] for held in (0, 1, 10, 50, 90)])


def test_load_score_counts_the_service_itself_only() -> None:
    idle, busy = values()["load"], values(seen=load("shelter", accepted=5000))["load"]
    assert idle == busy


def test_freshness_falls_with_the_age_of_the_capacity() -> None:
    found = [of_service("freshness", capacity=capacity(days=days)) for days in (0, 1, 90, 400)]
    assert is_falling(found)
    assert found[2] == pytest.approx(0.5)
    # a partner's clock may be ahead
    assert of_service("freshness", capacity=capacity(days=-1)) == 1.0


def test_cost_score_orders_free_at_cost_commercial() -> None:
    assert is_falling(
        [of_service("cost", cost=cost) for cost in (Funding.free, Funding.at_cost, Funding.commercial)]
    )


@given(
    answered=st.integers(0, 10_000),
    returned=st.floats(0, 1),
    expired=st.integers(0, 10_000),
    seconds=st.integers(0, 10**9),
    accepted=st.integers(-5, 10_000),
    maximum=st.none() | st.integers(0, 1000),
    days=st.floats(-1000, 10_000),
    weights=st.lists(st.floats(0, 1000), min_size=7, max_size=7),
)
def test_contributions_and_score_are_between_zero_and_one(
    answered: int,
    returned: float,
    expired: int,
    seconds: int,
    accepted: int,
    maximum: int | None,
    days: float,
    weights: list[float],
) -> None:
    receiver = organization(NAME, service(capacity=capacity(days=days, maximum=maximum)))
    seen = replace(
        load(accepted=accepted),
        answered=answered,
        returned=round(answered * returned),
        expired=expired,
        answer_seconds=seconds,
    )
    names = list(Weights().by_name())
    drawn = Weights(**dict(zip(names, weights, strict=True)))
    found, score = scored(receiver, seen=seen, weights=drawn)
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert list(found) == names
    assert 0.0 <= score <= 1.0
    assert math.isfinite(score)


NO_WEIGHTS = Weights(
    needs_covered=0.0, nearness=0.0, language=0.0, responsiveness=0.0, load=0.0, freshness=0.0, cost=0.0
)


@pytest.mark.parametrize("name", Weights().by_name())
def test_score_is_the_weighted_mean(name: str) -> None:
    receiver = organization(NAME, service(areas=("RU",), cost=Funding.at_cost, capacity=capacity(days=90)))
    weights: dict[str, Any] = {name: 3.0}
    weights["load" if name == "needs_covered" else "needs_covered"] = 1.0
    found, score = scored(receiver, seen=load(accepted=50), weights=replace(NO_WEIGHTS, **weights))
    assert score == pytest.approx(sum(found[one] * weight for one, weight in weights.items()) / 4, abs=1e-6)


def test_score_without_weights_is_zero() -> None:
    assert scored(weights=NO_WEIGHTS)[1] == 0.0


# --- ties -------------------------------------------------------------------------------------------


def ranked(referral_id: str, *receivers: Any) -> Decision:
    given_now = replace(circumstances(network(*receivers)), referral_id=referral_id)
    return decide("d", given_now, RoutingPolicy(), Trigger.submitted)


def test_tie_is_independent_of_directory_order() -> None:
    names = ["ru.one", "ru.two", "ru.three"]
    for number in range(20):
        one = ranked(f"r{number}", *names).ranked
        other = ranked(f"r{number}", *reversed(names)).ranked
        assert one == other


def test_ties_are_spread_evenly_over_many_referrals() -> None:
    directory = network("ru.one", "ru.two", "ru.three")
    first = Counter(
        decide(
            "d",
            replace(circumstances(directory), referral_id=f"018f0000-0000-7000-8000-{number:012d}"),
            RoutingPolicy(),
            Trigger.submitted,
        )
        .ranked[0]
        .organization
        for number in range(1000)
    )
    assert len(first) == 3
    assert all(250 <= count <= 420 for count in first.values())


@given(st.timedeltas(min_value=dt.timedelta(microseconds=1), max_value=dt.timedelta(days=4_000)))
def test_freshness_is_that_of_the_age(age: dt.timedelta) -> None:
    stated = NOW - age
    expected = round(0.5 ** (age.total_seconds() / 86400 / 90.0), 6)
    assert of_service("freshness", capacity=Capacity(status=CapacityStatus.capacity, updated_at=stated)) == (
        expected
    )


@given(st.lists(st.sampled_from(sorted(codes("needs"))), min_size=1, max_size=6), st.data())
def test_count_of_covered_needs_agrees_with_each_cover(offered: list[str], data: st.DataObject) -> None:
    needed = data.draw(st.lists(st.sampled_from(sorted(codes("needs"))), max_size=6))
    needs = Needs(offered)
    assert needs.count([(need, need_group(need)) for need in needed]) == sum(map(needs.cover, needed))
