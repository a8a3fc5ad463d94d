"""Referrals that are split, in the store: parts with their offers, who sees them, and how all of them end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from contracts.codes import (
    Answer,
    CapacityStatus,
    DeclineReason,
    HandBackReason,
    Outcome,
    Urgency,
    WithdrawalReason,
)
from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    AlertClosed,
    AnswerSubmitted,
    CaseRequested,
    Fact,
    HandBackSubmitted,
    OfferAccepted,
    OfferOpened,
    OfferRevoked,
    OutcomeSubmitted,
    PartOpened,
    ReferralCompleted,
    ReferralRejoined,
    ReferralSplit,
    ReferralSubmitted,
    ReferralUnplaced,
    ReferralWithdrawn,
    ReplacementSubmitted,
    RevocationSubmitted,
    WithdrawalSubmitted,
)
from contracts.organization import Capacity, Organization
from contracts.part_id import part_id
from contracts.records import plain
from runtime.identifiers import new_id
from services.routing.adapters.past_referrals import SqlPastReferrals
from services.routing.adapters.tables import REFERRALS
from services.routing.adapters.week_events import SqlWeekEvents
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.coordination_queue import QueueFilter, QueueKind
from tests.unit.services.routing.families import LEGAL, SHELTER, WORK
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    SENDER,
    consent,
    facts,
    organization,
    service,
)
from tests.unit.services.routing.workbench import Workbench, delivery, event, opened, workbench

_COMPLETED = ReferralCompleted.type


def helping(name: str, *needs: str) -> Organization:
    return organization(name, service(needs=needs))


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    yield bench
    bench.close()


def several(referral_id: str, *needs: str, **changes: Any) -> Event[Fact]:
    """A submission whose consent allows several organisations."""
    stated = facts(needs=needs, consent=consent(several_organizations=True), **changes)
    return event(ReferralSubmitted(referral_id=referral_id, sender=SENDER, facts=stated), referral_id)


def answer(
    offer: OfferOpened, choice: Answer = Answer.accept, why: DeclineReason = DeclineReason.other
) -> Event[Fact]:
    fact = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=choice,
        reason=None if choice is Answer.accept else why,
    )
    return event(fact, offer.referral_id)


def outcome(offer: OfferOpened) -> Event[Fact]:
    fact = OutcomeSubmitted(
        referral_id=offer.referral_id, organization=offer.organization, outcome=Outcome.resolved
    )
    return event(fact, offer.referral_id)


def of(kind: type[Fact], published: list[Fact]) -> list[Any]:
    return [fact for fact in published if isinstance(fact, kind)]


def split(bench: Workbench, **changes: Any) -> tuple[str, OfferOpened, OfferOpened]:
    """Return the id of a referral that was split, and the offers of its two parts."""
    whole = new_id()
    first, second = opened(bench.take(several(whole, LEGAL, SHELTER, **changes)))
    return whole, first, second


def status(bench: Workbench, *ids: str) -> list[str]:
    return [bench.queries.referral(id_, SENDER, oversight=False).status for id_ in ids]


def test_parts_and_the_split_are_stored_and_published_together(bench: Workbench) -> None:
    whole = new_id()
    submission = several(whole, LEGAL, SHELTER)
    bench.take(submission)

    published = bench.published()
    assert {(type(one.data), one.partition_key, one.causation_id) for one in published} == {
        (ReferralSplit, whole, submission.id),
        (PartOpened, part_id(whole, 1), submission.id),
        (OfferOpened, part_id(whole, 1), submission.id),
        (PartOpened, part_id(whole, 2), submission.id),
        (OfferOpened, part_id(whole, 2), submission.id),
    }
    shown = bench.queries.referral(whole, SENDER, oversight=False)
    assert shown.status == "split"
    assert [(part.id, part.needs, part.status) for part in shown.parts] == [
        (part_id(whole, 1), (LEGAL,), "offered"),
        (part_id(whole, 2), (SHELTER,), "offered"),
    ]
    assert [step.fact for step in shown.timeline] == ["referral.submitted", "referral.split"]
    part = bench.queries.referral(part_id(whole, 1), SENDER, oversight=False)
    assert (part.part_of, part.needs) == (whole, (LEGAL,))
    assert next((step.fact, dict(step.detail)) for step in part.timeline) == (
        "part.opened",
        {"part_of": whole},
    )
    with bench.database.read() as transaction:
        stored = bench.store.view(transaction, [part_id(whole, 2)])[part_id(whole, 2)]
        rows = transaction.execute(select(REFERRALS.c.part).where(REFERRALS.c.part_of == whole)).all()
    # An earlier build can read these rows: they have no other members.
    members = {"position", "count", "asked", "whole_needs"}
    assert [row.part.keys() for row in rows] == [members, members]
    assert stored.part is not None
    assert stored.family == (whole, part_id(whole, 1), part_id(whole, 2))
    assert [
        row["trigger"] for row in bench.queries.decisions(part_id(whole, 1), SENDER, oversight=False)
    ] == ["submitted"]
    assert bench.queries.decisions(whole, SENDER, oversight=False) == []


def test_candidate_of_a_part_sees_that_part_alone(bench: Workbench) -> None:
    whole, first, second = split(bench)
    bench.take(answer(first))
    shown = plain(bench.queries.referral(first.referral_id, "ru.legal", oversight=False))
    for foreign in (whole, second.referral_id, SHELTER, "ru.home"):
        assert foreign not in str(shown)
    for other in (whole, second.referral_id):
        with pytest.raises(Refused, match="No referral with this id"):
            bench.queries.referral(other, "ru.legal", oversight=False)
    listed = bench.queries.referrals("ru.legal", oversight=False, status=None, after=None, limit=10)
    assert [(one.id, one.part_of) for one in listed] == [(first.referral_id, None)]


def test_whole_completes_in_the_transaction_of_its_last_part(bench: Workbench) -> None:
    whole, first, second = split(bench)
    bench.take(answer(first), answer(second))
    assert of(ReferralCompleted, bench.take(outcome(first))) == [
        ReferralCompleted(
            referral_id=first.referral_id,
            sender=SENDER,
            organization="ru.legal",
            outcome=Outcome.resolved,
        )
    ]
    assert status(bench, whole, first.referral_id) == ["split", "completed"]
    published = of(ReferralCompleted, bench.take(outcome(second)))
    assert [(fact.referral_id, fact.organization) for fact in published] == [
        (second.referral_id, "ru.home"),
        (whole, None),
    ]
    assert status(bench, whole) == ["completed"]


def test_both_outcomes_in_one_batch_complete_the_whole_once(bench: Workbench) -> None:
    whole, first, second = split(bench)
    published = bench.take(answer(first), answer(second), outcome(first), outcome(second))
    assert [fact.referral_id for fact in of(ReferralCompleted, published)].count(whole) == 1
    assert status(bench, whole) == ["completed"]


def test_submission_and_withdrawal_in_one_batch_end_the_parts(bench: Workbench) -> None:
    whole = new_id()
    withdrawal = WithdrawalSubmitted(referral_id=whole, organization=SENDER, reason=WithdrawalReason.other)
    published = bench.take(several(whole, LEGAL, SHELTER), event(withdrawal, whole))
    assert {fact.referral_id for fact in of(ReferralWithdrawn, published)} == {
        whole,
        part_id(whole, 1),
        part_id(whole, 2),
    }
    assert set(status(bench, whole, part_id(whole, 1), part_id(whole, 2))) == {"withdrawn"}


def test_withdrawn_whole_ends_parts_that_are_not_in_the_batch_and_frees_their_places(
    bench: Workbench,
) -> None:
    whole, first, second = split(bench)
    bench.take(answer(first))
    assert bench.observations()["ru.legal"].accepted == 1
    bench.take(
        event(
            WithdrawalSubmitted(referral_id=whole, organization=SENDER, reason=WithdrawalReason.other), whole
        )
    )
    assert set(status(bench, whole, first.referral_id, second.referral_id)) == {"withdrawn"}
    seen = bench.observations()
    assert [(seen[name].accepted, seen[name].pending) for name in ("ru.legal", "ru.home")] == [(0, 0)] * 2


def test_consent_revoked_by_the_acceptor_of_a_part_reduces_the_facts_of_all(bench: Workbench) -> None:
    whole, first, second = split(bench)
    bench.take(answer(first))
    bench.take(
        event(RevocationSubmitted(referral_id=first.referral_id, organization="ru.legal"), first.referral_id)
    )
    ids = (whole, first.referral_id, second.referral_id)
    assert set(status(bench, *ids)) == {"withdrawn"}
    with bench.database.read() as transaction:
        marked = transaction.exec_driver_sql(
            "SELECT count(*) FROM referrals WHERE facts_state = 'revoked'"
        ).scalar_one()
    assert marked == 3


def test_second_part_sees_the_place_that_the_first_one_has_taken(database_url: str) -> None:
    """One organisation with one place for each service may be asked about both parts, one after the other."""
    bench = workbench(
        database_url,
        organization("ru.two", service(needs=(LEGAL,)), service(id="home", needs=(SHELTER,))),
        helping("ru.work", WORK),
    )
    bench.take(several(new_id(), LEGAL, SHELTER, WORK))
    assert bench.observations()["ru.two"].pending == 1
    assert [offer.facts.needs for offer in opened([one.data for one in bench.published()])] == [
        (LEGAL, SHELTER),
        (WORK,),
    ]
    bench.close()


def test_deadline_of_the_last_offer_splits_the_referral(database_url: str) -> None:
    bench = workbench(
        database_url,
        helping("ru.both", LEGAL, SHELTER),
        helping("ru.legal", LEGAL),
        helping("ru.home", SHELTER),
    )
    whole = new_id()
    (offer,) = opened(bench.take(several(whole, LEGAL, SHELTER)))
    assert offer.organization == "ru.both"
    published = bench.fire(offer.deadline + HOUR)
    assert len(of(ReferralSplit, published)) == 1
    assert [one.organization for one in opened(published)] == ["ru.legal", "ru.home"]
    assert status(bench, whole) == ["split"]
    # An answer that was in time counts, although it is read after the split.
    published = bench.take(answer(offer))
    assert [fact.parts for fact in of(ReferralRejoined, published)] == [
        (part_id(whole, 1), part_id(whole, 2))
    ]
    assert [fact.organization for fact in of(OfferAccepted, published)] == ["ru.both"]
    assert [fact.organization for fact in of(OfferRevoked, published)] == ["ru.legal", "ru.home"]
    assert status(bench, whole, part_id(whole, 1), part_id(whole, 2)) == [
        "accepted",
        "withdrawn",
        "withdrawn",
    ]
    bench.close()


def test_parts_of_one_person_count_once_for_an_organization_that_was_passed_over(database_url: str) -> None:
    full = service(
        needs=(LEGAL, SHELTER), capacity=Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
    )
    bench = workbench(
        database_url,
        helping("ru.legal", LEGAL),
        helping("ru.home", SHELTER),
        organization("ru.full", full),
    )
    split(bench)
    with bench.database.read() as transaction:
        events, _ = SqlWeekEvents().read(transaction, CalendarWeek.of(NOW), 0, NOW)
    assert events.passed_over == {"ru.full": {"capacity": {SENDER: 1}}}
    bench.close()


def test_whole_and_its_parts_count_once_for_an_organization_that_was_passed_over(database_url: str) -> None:
    """An organisation that came behind another one for the whole, and was asked about a part, was asked."""
    full = service(
        needs=(LEGAL, SHELTER), capacity=Capacity(status=CapacityStatus.no_capacity, updated_at=NOW)
    )
    bench = workbench(
        database_url,
        helping("ru.both", LEGAL, SHELTER),
        helping("ru.legal", LEGAL),
        helping("ru.home", SHELTER),
        organization("ru.full", full),
    )
    whole = new_id()
    (offer,) = opened(bench.take(several(whole, LEGAL, SHELTER)))
    assert offer.organization == "ru.both"
    parts = opened(bench.take(answer(offer, Answer.decline)))
    assert {one.organization for one in parts} == {"ru.legal", "ru.home"}
    with bench.database.read() as transaction:
        events, _ = SqlWeekEvents().read(transaction, CalendarWeek.of(NOW), 0, NOW)
    assert events.passed_over == {"ru.full": {"capacity": {SENDER: 1}}}
    bench.close()


def test_organization_left_out_of_a_part_stays_so_in_the_store(bench: Workbench) -> None:
    whole, first, _ = split(bench)
    bench.take(answer(first, Answer.decline, DeclineReason.conflict_of_interest))
    with bench.database.read() as transaction:
        other = bench.store.view(transaction, [part_id(whole, 2)])[part_id(whole, 2)]
    assert other.left_out == {first.organization: "conflict_of_interest"}
    assert other.part is not None
    assert other.part.whole_needs == (LEGAL, SHELTER)


def test_part_is_offered_to_an_organization_that_was_full_for_the_whole_when_it_states_room(
    database_url: str,
) -> None:
    bench = workbench(database_url, helping("ru.both", LEGAL, SHELTER), helping("ru.legal", LEGAL))
    whole = new_id()
    (offer,) = opened(bench.take(several(whole, LEGAL, SHELTER)))
    bench.take(answer(offer, Answer.decline, DeclineReason.no_capacity))
    part = part_id(whole, 2)
    assert status(bench, whole, part) == ["split", "unplaced"]
    bench.clock.time = NOW + DAY
    room = Capacity(status=CapacityStatus.capacity, updated_at=NOW + DAY)
    bench.absorb([organization("ru.both", service(needs=(LEGAL, SHELTER), capacity=room))])
    bench.commands.decide_unplaced_again(NOW + DAY)
    asked = [one.data for one in bench.published() if isinstance(one.data, OfferOpened)]
    assert [(one.referral_id, one.organization) for one in asked][-1] == (part, "ru.both")
    bench.close()


def test_changed_directory_splits_an_unplaced_referral_and_closes_its_alert(database_url: str) -> None:
    bench = workbench(database_url, helping("ru.work", WORK))
    whole = new_id()
    bench.take(several(whole, LEGAL, SHELTER))
    assert status(bench, whole) == ["unplaced"]
    bench.absorb([helping("ru.legal", LEGAL)])
    bench.commands.decide_unplaced_again(NOW)
    published = [one.data for one in bench.published()]
    assert [fact.referral_id for fact in of(AlertClosed, published)] == [whole]
    assert [fact.referral_id for fact in of(ReferralUnplaced, published)] == [whole, part_id(whole, 2)]
    assert status(bench, whole, *(part_id(whole, n) for n in (1, 2))) == ["split", "offered", "unplaced"]
    with bench.database.read() as transaction:
        events, _ = SqlWeekEvents().read(transaction, CalendarWeek.of(NOW), 0, NOW)
    # The whole and its part are one person: the whole, which was unplaced first, counts.
    assert [one.need for one in events.unplaced] == [LEGAL]
    bench.close()


def test_coordinators_see_parts_in_their_queues_and_not_the_whole(bench: Workbench) -> None:
    bench.absorb([replace(helping("ru.home", SHELTER), active=False)])
    whole = new_id()
    bench.take(several(whole, LEGAL, SHELTER, urgency=Urgency.emergency))
    part = part_id(whole, 2)
    assert [(one.id, one.part_of) for one in bench.queries.unplaced(after=None, limit=9)] == [(part, whole)]
    with bench.database.read() as transaction:
        queued = bench.store.coordination_page(
            transaction, QueueKind.emergency, NOW, QueueFilter(), after=None, limit=9
        )
    assert {one.id for one in queued} == {part_id(whole, 1), part}


def test_part_handed_back_leaves_the_whole_in_parts(bench: Workbench) -> None:
    whole, first, _ = split(bench)
    bench.take(answer(first))
    bench.take(
        event(
            HandBackSubmitted(
                referral_id=first.referral_id, organization="ru.legal", reason=HandBackReason.other
            ),
            first.referral_id,
        )
    )
    assert status(bench, whole, first.referral_id) == ["split", "unplaced"]


def test_experience_counts_the_parts_and_not_the_whole(bench: Workbench) -> None:
    split(bench)
    with bench.database.read() as transaction:
        found = SqlPastReferrals().newest(transaction, NOW - DAY, NOW + DAY, 10)
    assert sorted(one.need_group for one in found) == ["basic_needs", "legal"]
    assert len({one.person for one in found}) == 1


def test_referral_split_by_another_process_between_look_up_and_lock_is_tried_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, _ = split(bench)
    monkeypatch.setattr(bench.store, "families", lambda transaction, ids: set(ids))
    with bench.database.write() as transaction, pytest.raises(Unavailable, match="Another process split"):
        bench.commands.take_facts(
            transaction,
            [
                event(
                    WithdrawalSubmitted(
                        referral_id=whole, organization=SENDER, reason=WithdrawalReason.other
                    ),
                    whole,
                )
            ],
            NOW,
        )


def test_last_parts_completed_in_two_processes_complete_the_whole_once(postgres_database: str) -> None:
    receivers = (helping("ru.legal", LEGAL), helping("ru.home", SHELTER))
    one = workbench(postgres_database, *receivers)
    two = Workbench(postgres_database, receivers)
    offers = [split(one) for _ in range(15)]
    one.take(*(answer(offer) for _, *both in offers for offer in both))
    barrier = threading.Barrier(2)

    def complete(bench: Workbench, place: int) -> None:
        barrier.wait(10)
        for _, *both in offers:
            bench.processor.process([delivery(outcome(both[place]))])

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(complete, one, 0), pool.submit(complete, two, 1)]:
            done.result(60)
    completed = [one_.partition_key for one_ in one.published() if one_.data.type == _COMPLETED]
    wholes = {whole for whole, *_ in offers}
    assert Counter(number for number in completed if number in wholes) == dict.fromkeys(wholes, 1)
    assert set(status(one, *wholes)) == {"completed"}
    one.close()
    two.close()


@pytest.mark.parametrize("under", ["whole", "other part"])
def test_replacement_under_another_id_of_the_referral_answers_each_part_that_asked(
    bench: Workbench, under: str
) -> None:
    whole, first, second = split(bench)
    bench.take(answer(first), answer(second))
    for offer in (first, second):
        asked = CaseRequested(referral_id=offer.referral_id, organization=offer.organization, sender=SENDER)
        bench.take(replace(event(asked, offer.referral_id), source="/kg/vault"))
    parts = [first.referral_id, second.referral_id]

    def lacking() -> set[str]:
        with bench.database.read() as transaction:
            return bench.store.lacking_case(transaction, parts)

    assert lacking() == set(parts)
    about = whole if under == "whole" else second.referral_id
    bench.take(event(ReplacementSubmitted(referral_id=about, organization=SENDER, to=None), about))
    assert lacking() == set()
    for id_ in parts:
        steps = [step.fact for step in bench.queries.referral(id_, SENDER, oversight=False).timeline]
        assert steps.count("replacement.submitted") == 1


def test_replacement_for_one_acceptor_answers_its_part_alone(bench: Workbench) -> None:
    whole, first, second = split(bench)
    bench.take(answer(first), answer(second))
    again = ReplacementSubmitted(referral_id=whole, organization=SENDER, to=first.organization)
    bench.take(event(again, whole))
    counts = [
        [step.fact for step in bench.queries.referral(id_, SENDER, oversight=False).timeline].count(
            "replacement.submitted"
        )
        for id_ in (first.referral_id, second.referral_id)
    ]
    assert counts == [1, 0]


def test_wishes_count_the_unplaced_parts_of_a_referral_once(bench: Workbench) -> None:
    _, first, second = split(bench)
    bench.take(*(answer(offer, Answer.decline) for offer in (first, second)))
    assert status(bench, first.referral_id, second.referral_id) == ["unplaced", "unplaced"]
    wishes, considered = bench.whole_network.wishes(bench.clock.now(), QueueFilter())
    assert considered == 1
    assert {wish.referrals for wish in wishes} == {1}
