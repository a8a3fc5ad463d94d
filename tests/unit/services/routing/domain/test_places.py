"""The shares of senders at one candidate: tables for the rule, properties for arrivals and departures."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import Urgency
from services.routing.domain.places import (
    ORDER_OF_URGENCY,
    Demand,
    NoPlace,
    OffersPerSender,
    ShareUsed,
    added,
    place_refused,
)
from services.routing.domain.waiting import WaitingQueue, WaitingReferral, in_turn
from tests.long_run import times
from tests.unit.services.routing.samples import NOW

EMERGENCY, URGENT, ROUTINE = Urgency.emergency, Urgency.urgent, Urgency.routine
SENDERS = ("kg.a", "kg.b", "kg.c")
URGENCIES = st.sampled_from(list(Urgency))
DEMANDS = st.dictionaries(
    st.tuples(st.sampled_from(SENDERS), URGENCIES),
    st.builds(Demand, offers=st.integers(0, 12), waiting=st.integers(0, 12)),
)


def refused(
    demand: dict[tuple[str, Urgency], Demand],
    sender: str = "kg.a",
    urgency: Urgency = ROUTINE,
    *,
    maximum: int | None = 10,
    accepted: int = 0,
    bounds: OffersPerSender | None = None,
) -> NoPlace | ShareUsed | None:
    return place_refused(
        demand,
        maximum=maximum,
        accepted=accepted,
        sender=sender,
        urgency=urgency,
        bounds=bounds or OffersPerSender(),
    )


def offers(count: int, waiting: int = 0) -> Demand:
    return Demand(offers=count, waiting=waiting)


def test_only_sender_may_hold_every_place() -> None:
    assert refused({("kg.a", ROUTINE): offers(9)}) is None
    full = ShareUsed(offers=10, places=10, share=10, senders=1)
    assert refused({("kg.a", ROUTINE): offers(10)}) == full


def test_accepted_referrals_leave_fewer_places() -> None:
    assert refused({("kg.a", ROUTINE): offers(4)}, accepted=5) is None
    used = ShareUsed(offers=5, places=5, share=5, senders=1)
    assert refused({("kg.a", ROUTINE): offers(5)}, accepted=5) == used
    assert refused({}, accepted=10) == NoPlace(accepted=10, maximum=10)


def test_second_sender_gets_its_share_of_a_full_candidate() -> None:
    full = {("kg.a", ROUTINE): offers(10)}
    assert refused(full, "kg.b") is None
    assert refused({**full, ("kg.b", ROUTINE): offers(4)}, "kg.b") is None
    used = ShareUsed(offers=5, places=10, share=5, senders=2)
    assert refused({**full, ("kg.b", ROUTINE): offers(5)}, "kg.b") == used


def test_less_urgent_offers_take_no_place() -> None:
    full = {("kg.a", ROUTINE): offers(10)}
    assert refused(full, "kg.a", URGENT) is None
    assert refused(full, "kg.a", ROUTINE) is not None
    assert refused({("kg.a", EMERGENCY): offers(10)}, "kg.a", ROUTINE) is not None


def test_free_place_goes_to_the_waiting_sender_with_the_fewest() -> None:
    demand = {("kg.a", ROUTINE): offers(3), ("kg.b", ROUTINE): offers(2, waiting=1)}
    assert isinstance(refused(demand, "kg.a", maximum=6), ShareUsed)
    assert refused(demand, "kg.b", maximum=6) is None
    waits_no_more = {**demand, ("kg.b", ROUTINE): offers(2)}
    assert refused(waits_no_more, "kg.a", maximum=6) is None


@pytest.mark.parametrize("maximum", [None, 100])
def test_most_bounds_a_sender_also_without_a_maximum(maximum: int | None) -> None:
    bounds = OffersPerSender(most=3)
    assert refused({("kg.a", ROUTINE): offers(2)}, maximum=maximum, bounds=bounds) is None
    used = refused({("kg.a", ROUTINE): offers(3)}, maximum=maximum, bounds=bounds)
    assert used == ShareUsed(offers=3, places=maximum, share=3, senders=1)
    assert refused({("kg.a", ROUTINE): offers(3)}, "kg.b", maximum=maximum, bounds=bounds) is None


def test_candidate_without_maximum_refuses_no_place_by_default() -> None:
    assert refused({("kg.a", ROUTINE): offers(1000)}, maximum=None) is None


@given(DEMANDS, st.sampled_from(SENDERS), URGENCIES, st.integers(1, 12), st.integers(0, 11))
def test_sender_without_an_offer_gets_a_place_while_acceptances_leave_one(
    demand: dict[tuple[str, Urgency], Demand], sender: str, urgency: Urgency, maximum: int, accepted: int
) -> None:
    mine = {key for key in demand if key[0] == sender}
    others = {key: one for key, one in demand.items() if key not in mine}
    found = refused(others, sender, urgency, maximum=maximum, accepted=accepted)
    assert found == (None if accepted < maximum else NoPlace(accepted=accepted, maximum=maximum))


@given(DEMANDS, st.sampled_from(SENDERS), URGENCIES, st.integers(1, 12))
def test_less_urgent_demand_changes_nothing(
    demand: dict[tuple[str, Urgency], Demand], sender: str, urgency: Urgency, maximum: int
) -> None:
    level = ORDER_OF_URGENCY[urgency]
    as_urgent = {key: one for key, one in demand.items() if ORDER_OF_URGENCY[key[1]] <= level}
    assert refused(demand, sender, urgency, maximum=maximum) == refused(
        as_urgent, sender, urgency, maximum=maximum
    )


@given(DEMANDS, st.integers(1, 12), URGENCIES)
def test_free_place_is_never_refused_to_every_waiting_sender(
    demand: dict[tuple[str, Urgency], Demand], maximum: int, urgency: Urgency
) -> None:
    level = ORDER_OF_URGENCY[urgency]
    counted = [(key, one) for key, one in demand.items() if ORDER_OF_URGENCY[key[1]] <= level]
    waiting = {sender for (sender, _), one in counted if one.waiting}
    if waiting and sum(one.offers for _, one in counted) < maximum:
        assert any(refused(demand, sender, urgency, maximum=maximum) is None for sender in waiting)


@given(DEMANDS, st.sampled_from(SENDERS), st.sampled_from(SENDERS), URGENCIES, st.integers(1, 12))
def test_sender_at_its_share_gets_no_place_while_another_with_fewer_waits(
    demand: dict[tuple[str, Urgency], Demand], sender: str, other: str, urgency: Urgency, maximum: int
) -> None:
    level = ORDER_OF_URGENCY[urgency]
    held: Counter[str] = Counter()
    for (name, counted), one in demand.items():
        if ORDER_OF_URGENCY[counted] <= level:
            held[name] += one.offers
    waits = any(
        one.waiting for (name, counted), one in demand.items()
        if name == other and ORDER_OF_URGENCY[counted] <= level
    )  # fmt: skip
    share = max(1, maximum // len(SENDERS))
    if waits and held[other] < held[sender] and held[sender] >= max(share, maximum // 2):
        assert refused(demand, sender, urgency, maximum=maximum) is not None


@given(DEMANDS, DEMANDS)
def test_demand_without_offers_and_waiting_is_dropped(
    one: dict[tuple[str, Urgency], Demand], other: dict[tuple[str, Urgency], Demand]
) -> None:
    back = {key: Demand(offers=-change.offers, waiting=-change.waiting) for key, change in other.items()}
    present = {key: demand for key, demand in one.items() if demand != Demand()}
    assert added(added(present, other), back) == present


@dataclass
class Candidate:
    """A model of one candidate: its open offers and its waiting referrals, as (sender, urgency, number)."""

    maximum: int
    accepted: int = 0
    offers: list[tuple[str, Urgency, int]] = field(default_factory=list)
    waiting: list[tuple[str, Urgency, int]] = field(default_factory=list)

    def demand(self) -> dict[tuple[str, Urgency], Demand]:
        found: dict[tuple[str, Urgency], Demand] = {}
        for sender, urgency, _ in self.offers:
            found = dict(added(found, {(sender, urgency): Demand(offers=1)}))
        for sender, urgency, _ in self.waiting:
            found = dict(added(found, {(sender, urgency): Demand(waiting=1)}))
        return found

    def may_ask(self, sender: str, urgency: Urgency) -> bool:
        return refused(self.demand(), sender, urgency, maximum=self.maximum, accepted=self.accepted) is None

    def submit(self, sender: str, urgency: Urgency, number: int) -> None:
        (self.offers if self.may_ask(sender, urgency) else self.waiting).append((sender, urgency, number))

    def decide_again(self) -> None:
        """Decide the first of each queue again, in turn, until nothing changes: the timer's order."""
        while True:
            firsts = [
                WaitingReferral(
                    referral_id=f"{number:06}",
                    queue=WaitingQueue(
                        organization="ru.one", service="legal", sender=sender, urgency=urgency
                    ),
                    since=NOW + dt.timedelta(seconds=number),
                )
                for sender, urgency, number in self.waiting
            ]
            moved = False
            for one in in_turn(firsts, self._held):
                place = one.queue.sender, one.queue.urgency, int(one.referral_id)
                # The decision sees the referral that it is about among the waiting ones.
                if self.may_ask(*place[:2]):
                    self.waiting.remove(place)
                    self.offers.append(place)
                    moved = True
            if not moved:
                return

    def _held(self, queue: WaitingQueue) -> int:
        level = ORDER_OF_URGENCY[queue.urgency]
        return sum(s == queue.sender and ORDER_OF_URGENCY[u] <= level for s, u, _ in self.offers)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from(SENDERS), URGENCIES),
        st.tuples(st.just("flood"), st.just("kg.a"), URGENCIES),
        st.tuples(st.just("decline"), st.integers(0, 40), st.none()),
        st.tuples(st.just("accept"), st.integers(0, 40), st.none()),
        st.tuples(st.just("complete"), st.none(), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=times(30, 150), deadline=None)
@given(ACTIONS, st.integers(1, 8))
def test_every_sender_gets_its_share_of_places(
    actions: list[tuple[str, object, object]], maximum: int
) -> None:
    """After each step, a sender that waits has its share of the places, or acceptances have taken all."""
    one, number = Candidate(maximum), 0
    for action, what, urgency in actions:
        if action in ("submit", "flood"):
            assert isinstance(what, str)
            assert isinstance(urgency, Urgency)
            for _ in range(15 if action == "flood" else 1):
                number += 1
                one.submit(what, urgency, number)
        elif action == "complete":
            one.accepted = max(0, one.accepted - 1)
        elif one.offers:
            assert isinstance(what, int)
            one.offers.pop(what % len(one.offers))
            one.accepted += action == "accept"
        one.decide_again()
        places = one.maximum - one.accepted
        for sender, waiting_urgency, _ in one.waiting:
            level = ORDER_OF_URGENCY[waiting_urgency]
            held = sum(s == sender and ORDER_OF_URGENCY[u] <= level for s, u, _ in one.offers)
            assert places <= 0 or held >= max(1, places // len(SENDERS))
            # Nothing that waits has a place to take.
            assert not one.may_ask(sender, waiting_urgency)


def queue(sender: str, urgency: Urgency = ROUTINE, organization: str = "ru.one") -> WaitingQueue:
    return WaitingQueue(organization=organization, service="legal", sender=sender, urgency=urgency)


def waiting(referral_id: str, where: WaitingQueue, minute: int) -> WaitingReferral:
    return WaitingReferral(referral_id=referral_id, queue=where, since=NOW + dt.timedelta(minutes=minute))


def test_waiting_referrals_are_decided_by_urgency_then_in_turn_then_by_age() -> None:
    flood = [waiting(f"a{n}", queue("kg.a"), n) for n in range(3)]
    late = [waiting("b0", queue("kg.b"), 50), waiting("b1", queue("kg.b"), 51)]
    urgent = waiting("c0", queue("kg.c", URGENT), 60)
    found = in_turn([*flood, *late, urgent], lambda _: 0)
    assert [one.referral_id for one in found] == ["c0", "a0", "b0", "a1", "b1", "a2"]


def test_sender_that_holds_more_offers_comes_later() -> None:
    held = {"kg.a": 2, "kg.b": 0}
    found = in_turn(
        [waiting("a0", queue("kg.a"), 0), waiting("b0", queue("kg.b"), 9), waiting("b1", queue("kg.b"), 10)],
        lambda one: held[one.sender],
    )
    assert [one.referral_id for one in found] == ["b0", "b1", "a0"]


def test_referral_in_several_queues_is_decided_once() -> None:
    twice = [waiting("a0", queue("kg.a", organization=name), 0) for name in ("ru.one", "ru.two")]
    assert [one.referral_id for one in in_turn(twice, lambda _: 0)] == ["a0"]
