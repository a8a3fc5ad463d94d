"""Suspensions on both databases: retried after a crash, reported once, safe across processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from contracts.codes import Answer, HandBackReason, Vetting, WithdrawalReason
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    AcceptanceRevoked,
    AlertClosed,
    AnswerSubmitted,
    Fact,
    HandBackSubmitted,
    OfferOpened,
    OfferRevoked,
    PlacementSubmitted,
    ReferralAcceptorSuspended,
    ReferralUnplaced,
    WithdrawalSubmitted,
)
from contracts.records import plain
from runtime.identifiers import new_id
from services.routing.domain.coordination_queue import QueueFilter, QueueKind
from services.routing.handlers import commands
from tests.unit.services.routing.samples import HOUR, NOW, SENDER, organization
from tests.unit.services.routing.workbench import Workbench, event, opened, submitted, workbench

COORDINATOR = "kg.coordinator"


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two")
    yield bench
    bench.close()


def suspend(bench: Workbench, name: str) -> None:
    bench.absorb([organization(name, vetting=Vetting.suspended)])


def sweep(bench: Workbench) -> list[Fact]:
    """Act on suspensions; return the published facts."""
    known = {submission.id for submission in bench.published()}
    bench.commands.act_on_suspensions(NOW)
    return [submission.data for submission in bench.published() if submission.id not in known]


def queued(bench: Workbench, **filters: str) -> list[str]:
    """Return the referrals in the queue of suspended acceptors, sorted."""
    items, _ = bench.coordination.queue(
        QueueKind.acceptor_suspended, bench.clock.time, QueueFilter(**filters), after=None, limit=100
    )
    return sorted(item.id for item in items)


def accept(bench: Workbench, offer: OfferOpened) -> None:
    submission = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.accept,
    )
    bench.take(event(submission, offer.referral_id))


def test_network_in_good_standing_is_not_changed(bench: Workbench) -> None:
    bench.take(submitted(new_id()))
    before = bench.woken
    assert sweep(bench) == []
    assert bench.woken == before


def test_open_offers_of_suspended_organization_are_offered_to_others(bench: Workbench) -> None:
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(8))))
    lost = {offer.offer_id for offer in offers if offer.organization == "ru.one"}
    assert lost
    suspend(bench, "ru.one")
    published = sweep(bench)
    assert {fact.offer_id for fact in published if isinstance(fact, OfferRevoked)} == lost
    assert {offer.organization for offer in opened(published)} == {"ru.two"}
    assert len(opened(published)) == len(lost)
    assert bench.network.observed("ru.one").pending == 0
    assert sweep(bench) == []


def test_timeline_and_offer_show_the_suspension(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(referral := new_id())))
    suspend(bench, offer.organization)
    sweep(bench)
    seen = plain(bench.queries.referral(referral, COORDINATOR, oversight=True))
    (closed, _) = seen["offers"]
    assert (closed["state"], closed["reason"]) == ("revoked", "organization_suspended")
    assert [entry["fact"] for entry in seen["timeline"]][-2:] == ["offer.revoked", "offer.opened"]


def test_referral_without_another_candidate_can_be_placed_by_hand(bench: Workbench) -> None:
    bench.take(submitted(referral := new_id()))
    suspend(bench, "ru.one")
    suspend(bench, "ru.two")
    published = sweep(bench)
    assert [type(fact) for fact in published] == [OfferRevoked, ReferralUnplaced]
    bench.absorb(["ru.three"])
    bench.commands.submit_placement(referral, "ru.three", COORDINATOR, NOW)
    asked = bench.published()[-1]
    assert isinstance(asked.data, PlacementSubmitted)
    (placed,) = opened(bench.take(asked))
    assert (placed.referral_id, placed.organization) == (referral, "ru.three")


def test_held_referrals_are_reported_once_for_each_suspension(bench: Workbench) -> None:
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(6))))
    for offer in offers:
        accept(bench, offer)
    held = {offer.referral_id for offer in offers if offer.organization == "ru.one"}
    assert held
    suspend(bench, "ru.one")
    published = sweep(bench)
    assert {type(fact) for fact in published} == {ReferralAcceptorSuspended}
    assert sorted(fact.referral_id for fact in published) == sorted(held)  # type: ignore[attr-defined]
    assert sweep(bench) == []
    assert queued(bench) == sorted(held)
    bench.absorb(["ru.one"])
    closed = sweep(bench)
    assert {type(fact) for fact in closed} == {AlertClosed}
    assert sorted(fact.referral_id for fact in closed) == sorted(held)  # type: ignore[attr-defined]
    assert queued(bench) == []
    assert sweep(bench) == []
    suspend(bench, "ru.one")
    assert len(sweep(bench)) == len(held)
    assert queued(bench) == sorted(held)


def test_readmission_leaves_the_referrals_of_other_suspended_acceptors_in_the_queue(bench: Workbench) -> None:
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(6))))
    for offer in offers:
        accept(bench, offer)
    suspend(bench, "ru.one")
    suspend(bench, "ru.two")
    sweep(bench)
    bench.absorb(["ru.one"])
    sweep(bench)
    assert queued(bench) == sorted(one.referral_id for one in offers if one.organization == "ru.two")


def test_queue_names_the_suspended_acceptor_and_follows_filters_and_pages(bench: Workbench) -> None:
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(4))))
    for offer in offers:
        accept(bench, offer)
    assert bench.queries.figures().acceptor_suspended == 0
    suspend(bench, "ru.one")
    suspend(bench, "ru.two")
    bench.clock.time = NOW + HOUR
    bench.commands.act_on_suspensions(bench.clock.time)
    kind = QueueKind.acceptor_suspended
    (first,), position = bench.coordination.queue(kind, NOW, QueueFilter(), after=None, limit=1)
    acceptor = next(one.organization for one in offers if one.referral_id == first.id)
    assert (first.reason, first.since, first.acceptor) == ("acceptor_suspended", NOW + HOUR, acceptor)
    assert (first.waits_for, first.deadline) == ((), None)
    rest, last = bench.coordination.queue(kind, NOW, QueueFilter(), after=position, limit=9)
    assert [first.id, *(item.id for item in rest)] == [one.referral_id for one in offers]
    assert last is None
    assert queued(bench, organization="ru.two") == sorted(
        one.referral_id for one in offers if one.organization == "ru.two"
    )
    assert queued(bench, region="KZ") == []
    assert bench.queries.figures().acceptor_suspended == len(offers)


def test_withdrawn_referral_of_a_suspended_acceptor_leaves_the_queue(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    accept(bench, offer)
    suspend(bench, offer.organization)
    sweep(bench)
    assert queued(bench) == [offer.referral_id]
    withdrawal = WithdrawalSubmitted(
        referral_id=offer.referral_id, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    published = bench.take(event(withdrawal, offer.referral_id))
    assert not any(isinstance(fact, AlertClosed) for fact in published)
    assert queued(bench) == []
    assert bench.queries.figures().acceptor_suspended == 0


def test_hand_back_of_a_suspended_acceptor_closes_the_alert_and_leaves_the_queue(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    accept(bench, offer)
    suspend(bench, offer.organization)
    sweep(bench)
    # Submitted before the suspension, read after it.
    hand_back = HandBackSubmitted(
        referral_id=offer.referral_id, organization=offer.organization, reason=HandBackReason.no_capacity
    )
    published = bench.take(event(hand_back, offer.referral_id))
    closed = AlertClosed(
        referral_id=offer.referral_id, message_type=ReferralAcceptorSuspended.type, by=offer.organization
    )
    assert closed in published
    assert queued(bench) == []


def test_coordinator_moves_referral_of_suspended_acceptor(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    accept(bench, offer)
    bench.absorb([organization("ru.three")])
    with pytest.raises(Refused) as refused:
        bench.commands.submit_placement(offer.referral_id, "ru.three", COORDINATOR, NOW)
    assert refused.value.slug == "not-in-this-state"
    suspend(bench, offer.organization)
    sweep(bench)
    bench.commands.submit_placement(offer.referral_id, "ru.three", COORDINATOR, NOW)
    assert queued(bench) == [offer.referral_id]
    revoked, moved, closed = bench.take(bench.published()[-1])
    assert closed == AlertClosed(
        referral_id=offer.referral_id, message_type=ReferralAcceptorSuspended.type, by=COORDINATOR
    )
    assert queued(bench) == []
    assert isinstance(revoked, AcceptanceRevoked)
    assert isinstance(moved, OfferOpened)
    assert (revoked.organization, moved.organization) == (offer.organization, "ru.three")
    accept(bench, moved)
    assert bench.network.observed(offer.organization).services == {}
    assert sweep(bench) == []


def test_crash_before_the_commit_loses_nothing(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = opened(bench.take(submitted(new_id())))
    suspend(bench, first.organization)

    def failing(*_: object) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(bench.store, "save", failing)
        with pytest.raises(Unavailable):
            sweep(bench)
    assert [type(fact) for fact in sweep(bench)] == [OfferRevoked, OfferOpened]


def test_two_processes_report_a_suspension_once(database_url: str, bench: Workbench) -> None:
    offers = opened(bench.take(*(submitted(new_id()) for _ in range(6))))
    for offer in offers[:3]:
        accept(bench, offer)
    other = Workbench(database_url, ["ru.one", "ru.two"])
    known = len(bench.published())
    for one in (bench, other):
        suspend(one, "ru.one")
        suspend(one, "ru.two")

    def until_done(one: Workbench) -> None:
        while True:
            try:
                if one.commands.act_on_suspensions(NOW) == 0:
                    return
            except Unavailable:
                continue

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(until_done, (bench, other)))
    published = [fact.data for fact in bench.published()[known:]]
    other.close()
    assert sum(isinstance(fact, ReferralAcceptorSuspended) for fact in published) == 3
    assert sum(isinstance(fact, OfferRevoked) for fact in published) == 3
    assert sum(isinstance(fact, ReferralUnplaced) for fact in published) == 3


def test_suspension_revokes_more_offers_than_one_transaction_handles(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "DUE_AT_ONCE", 3)
    bench.absorb([replace(organization("ru.two"), services=())])
    bench.take(*(submitted(new_id()) for _ in range(7)))
    suspend(bench, "ru.one")
    assert [bench.commands.act_on_suspensions(NOW) for _ in range(4)] == [3, 3, 1, 0]
