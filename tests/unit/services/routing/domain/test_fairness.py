"""Turns among equals, and chances for organisations that are hardly known."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import CapacityStatus, Urgency
from contracts.errors import Refused
from contracts.organization import Capacity, Organization
from contracts.records import load as read_policy
from contracts.records import plain, read
from services.routing.domain.candidates import Candidate
from services.routing.domain.decision import Decision, Trigger, decide, rank
from services.routing.domain.directory import Directory
from services.routing.domain.fairness import Contender, Fairness, FairTurn, draw_of
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.places import Demand
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.view import decision_view
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    SENDER,
    circumstances,
    facts,
    load,
    network,
    organization,
    service,
)

MINUTE = dt.timedelta(minutes=1)
NO_EXPLORATION = RoutingPolicy(fairness=Fairness(explore=0.0))
NO_WEIGHTS = dict.fromkeys(RoutingPolicy().weights.by_name(), 0.0)


def referral_id(number: int) -> str:
    return f"018f0000-0000-7000-8000-{number:012d}"


def decided(number: int, *receivers: Organization | str, **given: Any) -> Decision:
    return decided_in(network(*receivers), number, **given)


def decided_in(
    directory: Directory,
    number: int,
    *,
    seen: Mapping[str, Observation] | None = None,
    policy: RoutingPolicy = NO_EXPLORATION,
    now: dt.datetime = NOW,
    asked: frozenset[str] = frozenset(),
    **changes: Any,
) -> Decision:
    given_now = replace(
        circumstances(
            directory,
            facts(**changes),
            observed=lambda name: (seen or {}).get(name, NOTHING_OBSERVED),
            now=now,
            asked=asked,
        ),
        referral_id=referral_id(number),
    )
    return decide("d", given_now, policy, Trigger.submitted)


def prompt(held: int = 0, *, answers: int = 10, after: dt.timedelta = 10 * MINUTE) -> Observation:
    """An organisation that has answered every offer after this time."""
    return replace(
        load(accepted=held),
        answered=answers,
        answer_seconds=answers * round(after.total_seconds()),
        last_asked=NOW - HOUR,
    )


def with_band(made: Decision) -> list[tuple[str, bool]]:
    """Each ranked organisation, and whether it is in the band of equals."""
    assert made.turn is not None
    return [(one.organization, made.turn.organizations[one.organization].equal) for one in made.ranked]


# --- turns ------------------------------------------------------------------------------------------


def test_least_recently_asked_of_equals_comes_first() -> None:
    seen = {
        "ru.one": replace(prompt(), last_asked=NOW - HOUR),
        "ru.two": replace(prompt(), last_asked=NOW - 3 * HOUR),
        "ru.three": replace(prompt(), last_asked=NOW - 2 * HOUR),
    }
    for number in range(20):
        made = decided(number, *seen, seen=seen)
        assert [one.organization for one in made.ranked] == ["ru.two", "ru.three", "ru.one"]
        assert made.turn is not None
        assert (made.turn.equals, made.turn.explored) == (3, None)


def test_organization_that_was_never_asked_comes_before_its_equals() -> None:
    policy = RoutingPolicy(fairness=Fairness(explore=0.0, band=0.1))
    made = decided(1, "ru.old", "ru.new", seen={"ru.old": prompt()}, policy=policy)
    assert [one.organization for one in made.ranked] == ["ru.new", "ru.old"]
    assert made.turn is not None
    assert made.turn.organizations["ru.new"] == Contender(unknown=True, equal=True)


def test_unknown_organization_is_equal_to_one_that_answers_promptly() -> None:
    made = decided(1, "ru.old", "ru.new", seen={"ru.old": prompt()})
    assert with_band(made) == [("ru.new", True), ("ru.old", True)]
    assert made.turn is not None
    assert made.turn.benefit == 0.076923


@pytest.mark.parametrize(
    "changes",
    [
        {"services": load(demand={(SENDER, Urgency.routine): Demand(offers=1)}).services},
        {"services": load("other", demand={(SENDER, Urgency.routine): Demand(offers=1)}).services},
        {"expired": 1},
        {"answered": 1, "answer_seconds": 9 * 3600},
    ],
    ids=["open offer", "open offer at another service", "silent", "slow"],
)
def test_organization_that_has_an_offer_or_was_judged_has_no_benefit_of_the_doubt(
    changes: dict[str, Any],
) -> None:
    seen = {"ru.old": prompt(), "ru.new": Observation(last_asked=NOW - DAY, **changes)}
    made = decided(1, "ru.old", "ru.new", seen=seen)
    assert with_band(made) == [("ru.old", True), ("ru.new", False)]


def test_unknown_organization_that_differs_otherwise_is_not_equal() -> None:
    far = organization("ru.new", service(areas=("RU",)))
    made = decided(1, "ru.old", far, seen={"ru.old": prompt()})
    assert with_band(made) == [("ru.old", True), ("ru.new", False)]


@pytest.mark.parametrize(
    ("policy", "urgency"),
    [
        (NO_EXPLORATION, Urgency.emergency),
        (RoutingPolicy(fairness=Fairness(explore=0.0, few=0)), Urgency.routine),
        (RoutingPolicy(fairness=Fairness(explore=0.0), weights=Weights(**NO_WEIGHTS)), Urgency.routine),
    ],
    ids=["emergency", "policy without unknown ones", "policy without weights"],
)
def test_no_benefit_of_the_doubt_for_an_emergency_or_by_policy(
    policy: RoutingPolicy, urgency: Urgency
) -> None:
    made = decided(1, "ru.old", "ru.new", seen={"ru.old": prompt()}, policy=policy, urgency=urgency)
    assert made.turn is not None
    assert made.turn.benefit == 0.0
    if policy.weights.responsiveness:
        assert with_band(made) == [("ru.old", True), ("ru.new", False)]


def test_organization_outside_the_band_comes_after_the_equals_whenever_it_was_asked() -> None:
    far = organization("ru.far", service(areas=("RU",)))
    made = decided(1, "ru.near", far, seen={"ru.near": prompt()})
    assert with_band(made) == [("ru.near", True), ("ru.far", False)]


def test_waiting_list_is_never_equal_to_free_capacity() -> None:
    stated = Capacity(status=CapacityStatus.waitlist, updated_at=NOW)
    waitlist = organization("ru.waitlist", service(capacity=stated))
    always = RoutingPolicy(fairness=Fairness(explore=0.5, band=1.0))
    for number in range(20):
        made = decided(number, "ru.room", waitlist, seen={"ru.room": prompt()}, policy=always)
        assert made.ranked[0].organization == "ru.room"


@pytest.mark.parametrize("after", [10 * MINUTE, 12 * HOUR])
def test_organization_without_maximum_loses_to_an_unknown_equal_at_5000_held(after: dt.timedelta) -> None:
    made = decided(1, "ru.full", "ru.new", seen={"ru.full": prompt(5000, after=after)})
    assert with_band(made) == [("ru.new", True), ("ru.full", False)]


# --- exploration ------------------------------------------------------------------------------------

DIFFERENT = organization("ru.far", service(areas=("RU",)))
KNOWN = {"ru.near": prompt(), "ru.far": prompt()}


def explored(numbers: range, **changes: Any) -> list[Decision]:
    made = [
        decided(number, "ru.near", DIFFERENT, seen=KNOWN, policy=RoutingPolicy(), **changes)
        for number in numbers
    ]
    return [one for one in made if one.turn is not None and one.turn.explored is not None]


def test_policy_share_of_referrals_explores() -> None:
    chances = explored(range(2000))
    assert 160 <= len(chances) <= 240
    for one in chances:
        assert one.turn is not None
        assert one.turn.draw is not None
        assert one.turn.draw < one.turn.explore
        assert [ranked.organization for ranked in one.ranked] == ["ru.far", "ru.near"]


def test_emergency_never_explores() -> None:
    assert explored(range(500), urgency=Urgency.emergency) == []


def test_referral_to_a_named_organization_explores_nobody() -> None:
    assert explored(range(500), to="ru.near") == []


def test_exploration_differs_between_attempts_of_one_referral() -> None:
    draws = {draw_of(referral_id(1), attempt) for attempt in range(20)}
    assert len(draws) == 20
    assert all(0.0 <= draw < 1.0 for draw in draws)


def test_hardly_known_equal_is_explored_before_its_turn() -> None:
    always = RoutingPolicy(fairness=Fairness(explore=0.5))
    seen = {
        "ru.one": replace(prompt(), last_asked=NOW - 3 * HOUR),
        "ru.two": replace(prompt(answers=4), last_asked=NOW - 2 * HOUR),
        "ru.three": replace(prompt(), last_asked=NOW - 4 * HOUR),
    }
    firsts = {decided(number, *seen, seen=seen, policy=always).ranked[0].organization for number in range(40)}
    assert firsts == {"ru.three", "ru.two"}


def test_excluded_organization_is_never_explored() -> None:
    barred = organization("ru.barred", active=False)
    always = RoutingPolicy(fairness=Fairness(explore=0.5))
    for number in range(50):
        made = decided(number, "ru.near", barred, seen=KNOWN, policy=always)
        assert [one.organization for one in made.ranked] == ["ru.near"]


@pytest.mark.parametrize(
    ("written", "pointer"),
    [
        ({"explore": 0.6}, "/fairness/explore"),
        ({"explore": -0.1}, "/fairness/explore"),
        ({"band": 1.1}, "/fairness/band"),
        ({"few": -1}, "/fairness/few"),
    ],
)
def test_policy_with_absurd_fairness_is_refused(written: dict[str, object], pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        read_policy(RoutingPolicy, {"fairness": written})
    assert [error.pointer for error in refused.value.errors] == [pointer]


# --- the record -------------------------------------------------------------------------------------


def candidate_of(record: Mapping[str, Any]) -> Candidate:
    """A candidate as recorded, without what the ranking decides."""
    return read(Candidate, {**record, "rank": None})


@given(
    number=st.integers(0, 10_000),
    moments=st.lists(st.none() | st.integers(0, 50), min_size=4, max_size=4),
    answers=st.lists(st.integers(0, 8), min_size=4, max_size=4),
    held=st.lists(st.integers(0, 200), min_size=4, max_size=4),
    fairness=st.builds(Fairness, band=st.floats(0, 0.2), explore=st.floats(0, 0.5), few=st.integers(0, 8)),
    urgency=st.sampled_from(Urgency),
    asked=st.frozensets(st.sampled_from(["ru.0", "ru.1"])),
)
def test_ranking_is_repeated_from_the_record_alone(
    number: int,
    moments: list[int | None],
    answers: list[int],
    held: list[int],
    fairness: Fairness,
    urgency: Urgency,
    asked: frozenset[str],
) -> None:
    names = [f"ru.{n}" for n in range(4)]
    seen = {
        name: replace(
            prompt(held[n], answers=answers[n]),
            last_asked=None if (ago := moments[n]) is None else NOW - ago * HOUR,
        )
        for n, name in enumerate(names)
    }
    two = organization("ru.3", service(), service(id="wide", areas=("RU",)))
    made = decided(
        number,
        *names[:3],
        two,
        seen=seen,
        policy=RoutingPolicy(fairness=fairness),
        urgency=urgency,
        asked=asked,
    )
    record = json.loads(json.dumps(plain(made)))
    contenders = {name: read(Contender, one) for name, one in record["turn"]["organizations"].items()}
    turn = replace(read(FairTurn, record["turn"]), organizations=contenders)
    again, turn_again = rank(
        [candidate_of(one) for one in reversed(record["candidates"]) if one["score"] is not None],
        record["referral_id"],
        Fairness(band=turn.band, explore=turn.explore, few=turn.few),
        {name: replace(one, equal=False) for name, one in contenders.items()},
        attempt=turn.attempt,
        explores=turn.draw is not None,
        benefit=turn.benefit,
    )
    assert turn_again == turn
    ranks = {
        (one["organization"], one["service"]): one["rank"]
        for one in record["candidates"]
        if one["score"] is not None
    }
    assert {(one.organization, one.service): one.rank for one in again} == ranks


def test_view_shows_the_turn_and_when_each_organization_was_asked() -> None:
    view = decision_view(plain(decided(1, "ru.one", "ru.two", seen={"ru.one": prompt()})), Directory())
    assert view["turn"] == {
        "band": 0.03,
        "explore": 0.0,
        "few": 5,
        "benefit": 0.076923,
        "attempt": 0,
        "draw": draw_of(referral_id(1), 0),
        "equals": 2,
        "explored": None,
        "organizations": {
            "ru.one": {
                "last_asked": "2026-03-02T08:00:00Z",
                "judged": 10,
                "unknown": False,
                "equal": True,
            },
            "ru.two": {"last_asked": None, "judged": 0, "unknown": True, "equal": True},
        },
    }


def test_sender_does_not_see_how_often_and_when_others_referrals_were_offered() -> None:
    stored = plain(decided(1, "ru.one", "ru.two", seen={"ru.one": prompt()}))
    assert decision_view(stored, Directory(), oversight=False)["turn"]["organizations"] == {
        "ru.one": {"last_asked": "2026-03-02T00:00:00Z", "judged": 5, "equal": True},
        "ru.two": {"last_asked": None, "judged": 0, "equal": True},
    }


@pytest.mark.parametrize("oversight", [True, False])
def test_decision_of_an_earlier_build_is_shown_without_a_turn(oversight: bool) -> None:
    stored = plain(decided(1, "ru.one"))
    del stored["turn"]
    assert decision_view(stored, Directory(), oversight=oversight)["turn"] is None


# --- over many referrals ----------------------------------------------------------------------------


@dataclass
class Season:
    """A thousand referrals, one each half hour. Each organisation answers after its time and accepts.

    silent: those that let every offer expire after their time. expires: whether the offer about the referral
    of this number expires, whoever has it.
    """

    answers_after: Mapping[str, dt.timedelta]
    held_for: dt.timedelta
    every: dt.timedelta = 30 * MINUTE
    silent: frozenset[str] = frozenset()
    expires: Callable[[int], bool] = lambda _: False
    policy: RoutingPolicy = field(default_factory=RoutingPolicy)
    # How often each was asked first by its turn, and not by exploration.
    by_turn: Counter[str] = field(default_factory=Counter)
    seen: dict[str, Observation] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def run(self, count: int, *, pick: Callable[[int], Urgency] = lambda _: Urgency.routine) -> Counter[str]:
        """Return how often each organisation was asked first."""
        directory = network(*self.answers_after)
        later: list[tuple[dt.datetime, str, Observation]] = []
        for number in range(count):
            now = NOW + number * self.every
            for due in [one for one in later if one[0] <= now]:
                later.remove(due)
                self._add(due[1], due[2])
            urgency = pick(number)
            made = decided_in(directory, number, seen=self.seen, policy=self.policy, now=now, urgency=urgency)
            name = made.ranked[0].organization
            self.asked[name] += 1
            assert made.turn is not None
            self.by_turn[name] += made.turn.explored is None
            after = self.answers_after[name]
            opened, closed = ({(SENDER, urgency): Demand(offers=offers)} for offers in (1, -1))
            self._add(name, replace(load(demand=opened), last_asked=now))
            if name in self.silent or self.expires(number):
                later.append((now + after, name, replace(load(demand=closed), expired=1)))
                continue
            accepted = replace(
                load(accepted=1, demand=closed), answered=1, answer_seconds=round(after.total_seconds())
            )
            later += [(now + after, name, accepted), (now + after + self.held_for, name, load(accepted=-1))]
        return self.asked

    def _add(self, name: str, change: Observation) -> None:
        self.seen[name] = self.seen.get(name, NOTHING_OBSERVED).plus(change)


def jain(counts: Counter[str], names: Mapping[str, object]) -> float:
    """Jain's fairness index, from 1/n to 1."""
    values = [counts[name] for name in names]
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


@pytest.mark.parametrize("held_for", [dt.timedelta(days=2), dt.timedelta(days=400)])
def test_equals_share_a_thousand_referrals_evenly(held_for: dt.timedelta) -> None:
    answers_after = {f"ru.equal-{n}": (5 + 6 * n) * MINUTE for n in range(8)}
    asked = Season(answers_after=answers_after, held_for=held_for).run(1000)
    assert jain(asked, answers_after) >= 0.9


@pytest.mark.parametrize("every", [MINUTE, 30 * MINUTE], ids=["dense", "sparse"])
@pytest.mark.parametrize("incumbents", [0, 1, 3])
@pytest.mark.parametrize("newcomers", [2, 10, 50, 100])
def test_newcomers_and_incumbents_share_a_thousand_referrals_evenly(
    newcomers: int, incumbents: int, every: dt.timedelta
) -> None:
    known = [f"ru.old-{n}" for n in range(incumbents)]
    names = [*known, *(f"ru.new-{n}" for n in range(newcomers))]
    season = Season(
        # All within the hour that has the full responsiveness.
        answers_after={name: (5 + 7 * n % 50) * MINUTE for n, name in enumerate(names)},
        held_for=2 * DAY,
        every=every,
        seen=dict.fromkeys(known, prompt()),
    )
    assert jain(season.run(1000), season.answers_after) >= 0.9


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_equals_of_other_speeds_share_evenly_if_one_offer_in_ten_expires(known: bool) -> None:
    """Emergencies, urgent and routine referrals together; the slowest still answers within the band."""
    answers_after = {f"ru.equal-{n}": (5 + 13 * n) * MINUTE for n in range(8)}
    season = Season(
        answers_after=answers_after,
        held_for=2 * DAY,
        expires=lambda number: draw_of("expires", number) < 0.1,
        seen=dict.fromkeys(answers_after, prompt()) if known else {},
    )
    kinds = (Urgency.emergency, *[Urgency.urgent] * 3, *[Urgency.routine] * 6)
    asked = season.run(1000, pick=lambda number: kinds[int(10 * draw_of("urgency", number))])
    assert jain(asked, answers_after) >= 0.9


def test_silent_newcomer_gets_at_most_one_offer_by_its_turn() -> None:
    """Further ones come by exploration only."""
    silent = [f"ru.silent-{n}" for n in range(20)]
    season = Season(
        answers_after={"ru.old": 10 * MINUTE, **dict.fromkeys(silent, 3 * DAY)},
        held_for=HOUR,
        silent=frozenset(silent),
        seen={"ru.old": prompt()},
    )
    asked = season.run(1000)
    assert max(season.by_turn[name] for name in silent) == 1
    assert sum(asked[name] for name in silent) <= len(silent) + 140


def test_newcomer_gets_a_fair_part_beside_an_organization_that_answers_at_once() -> None:
    answers_after = {"ru.old": 10 * MINUTE, "ru.new": 10 * MINUTE}
    season = Season(answers_after=answers_after, held_for=dt.timedelta(days=2), seen={"ru.old": prompt()})
    asked = season.run(500)
    assert 150 <= asked["ru.new"] <= 350


def test_newcomer_gets_emergencies_only_by_score_and_turn() -> None:
    season = Season(
        answers_after={"ru.old": 10 * MINUTE, "ru.new": 10 * MINUTE},
        held_for=HOUR,
        seen={"ru.old": prompt()},
    )
    asked = season.run(200, pick=lambda _: Urgency.emergency)
    assert asked["ru.new"] == 0
