"""Routing's commands and queries on both databases: batches, deadlines, concurrency, views."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import Connection, Text, func, select, type_coerce, update

from contracts.codes import (
    Answer,
    CapacityStatus,
    DeclineReason,
    HandBackReason,
    Outcome,
    ProgressStatus,
    Urgency,
    Vetting,
    WithdrawalReason,
)
from contracts.commitment import commitment_to
from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    DecisionsRecorded,
    Fact,
    HandBackSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferOpened,
    OfferReminded,
    OfferRevoked,
    OutcomeSubmitted,
    PlacementAnswered,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralCompleted,
    ReferralOverdue,
    ReferralProgressed,
    ReferralUnplaced,
    ReferralWithdrawn,
    WithdrawalSubmitted,
)
from contracts.idempotency_key import KEYS_KEPT
from contracts.organization import Capacity
from contracts.queries import EndedQuery, OfferQuery, PartyQuery, ReferralListQuery, ReferralQuery, RolesQuery
from contracts.records import plain
from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade
from runtime.telemetry.trace import caused_by, continued, parse
from services.routing.adapters.tables import DECISIONS, MESSAGING, OFFERS, REFERRALS
from services.routing.api import reply_to_query
from services.routing.consumer_lag import ANSWERS_UNDER_WAY, QUIET
from services.routing.domain import view as view_module
from services.routing.domain.observation import Observation, ServiceLoad
from services.routing.domain.places import Demand
from services.routing.domain.policy import RoutingPolicy
from services.routing.handlers import queries as queries_module
from services.routing.ports import Changes
from tests.support.turns import count_turns
from tests.unit.services.routing.samples import DAY, HOUR, NOW, SENDER, organization, service
from tests.unit.services.routing.workbench import (
    Workbench,
    delivery,
    event,
    opened,
    sender,
    submitted,
    workbench,
)

SECOND = dt.timedelta(seconds=1)
MINUTE = 60 * SECOND
COORDINATOR = "kg.coordinator"


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url)
    yield bench
    bench.close()


def answer(
    offer: OfferOpened, what: Answer = Answer.accept, *, by: str | None = None, at: dt.datetime = NOW
) -> Event[Fact]:
    submission = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=by or offer.organization,
        answer=what,
        reason=DeclineReason.conflict_of_interest if what is Answer.decline else None,
    )
    return event(submission, offer.referral_id, at)


def outcome(referral_id: str, by: str) -> Event[Fact]:
    submission = OutcomeSubmitted(referral_id=referral_id, organization=by, outcome=Outcome.resolved)
    return event(submission, referral_id)


def progress(referral_id: str, by: str) -> Event[Fact]:
    status = ProgressStatus.in_progress
    return event(ProgressSubmitted(referral_id=referral_id, organization=by, status=status), referral_id)


def withdrawal(referral_id: str) -> Event[Fact]:
    submission = WithdrawalSubmitted(
        referral_id=referral_id, organization=SENDER, reason=WithdrawalReason.placed_elsewhere
    )
    return event(submission, referral_id)


def view(bench: Workbench, referral_id: str, viewer: str, *, oversight: bool = False) -> dict[str, Any]:
    """Return a referral view as JSON values."""
    wire = ReferralQuery(id=referral_id, viewer=viewer, oversight=oversight).wire()
    found: dict[str, Any] = plain(reply_to_query(bench.queries, wire))
    return found


def status(bench: Workbench, referral_id: str) -> str:
    found: str = view(bench, referral_id, SENDER)["status"]
    return found


# --- migrations -------------------------------------------------------------------------------------


def test_other_greenlets_may_run_before_each_fact_is_applied(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    referrals = [new_id() for _ in range(20)]
    counted = count_turns(monkeypatch)
    bench.take(*map(submitted, referrals))
    assert counted["take_facts"] == len(referrals)


def test_migrations_produce_the_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.routing", database)
    upgrade("services.routing", database)
    assert differences("services.routing", database) == []
    database.close()


# --- batches ----------------------------------------------------------------------------------------


def test_batch_of_many_referrals_opens_an_offer_for_each(bench: Workbench) -> None:
    ids = [new_id() for _ in range(150)]
    published = bench.take(*(submitted(one) for one in ids))
    assert sorted(offer.referral_id for offer in opened(published)) == sorted(ids)
    with bench.database.read() as transaction:
        for table in (REFERRALS, OFFERS, DECISIONS):
            assert transaction.execute(select(func.count()).select_from(table)).scalar_one() == 150
    # then one batch answers all of them, half accepted and half declined
    answers = [
        answer(offer, Answer.accept if number % 2 else Answer.decline)
        for number, offer in enumerate(opened(published))
    ]
    counted = Counter(type(fact) for fact in bench.take(*answers))
    assert counted == {OfferAccepted: 75, OfferDeclined: 75, OfferOpened: 75}


def test_batch_with_a_complete_referral_applies_facts_in_order(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    published = bench.take(
        answer(offer),
        progress(referral, offer.organization),
        outcome(referral, offer.organization),
        withdrawal(referral),
    )
    assert [type(fact).__name__ for fact in published] == [
        "OfferAccepted",
        "ReferralProgressed",
        "ReferralCompleted",
        "SubmissionRefused",
    ]
    assert status(bench, referral) == "completed"


def test_every_stored_decision_is_committed_to_in_the_log(bench: Workbench) -> None:
    ids = [new_id() for _ in range(3)]
    bench.take(*(submitted(referral_id) for referral_id in ids))
    bench.fire(NOW + dt.timedelta(days=30))
    columns = (DECISIONS.c.id, type_coerce(DECISIONS.c.record, Text).label("text"), DECISIONS.c.salt)
    with bench.database.read() as transaction:
        rows = transaction.execute(select(*columns)).all()
    assert len(rows) == 6
    assert bench.committed() == {row.id: commitment_to(row.text.encode(), row.salt) for row in rows}
    # The record names its inputs' versions, and no two decisions share a salt.
    assert all({"directory_version", "policy_version"} <= json.loads(row.text).keys() for row in rows)
    assert len({row.salt for row in rows}) == 6


def test_batch_with_referral_and_withdrawal_withdraws_it(bench: Workbench) -> None:
    referral = new_id()
    published = bench.take(submitted(referral), withdrawal(referral))
    assert [type(fact) for fact in published] == [OfferOpened, OfferRevoked, ReferralWithdrawn]
    shown = view(bench, referral, SENDER)
    assert shown["status"] == "withdrawn"
    assert [offer["state"] for offer in shown["offers"]] == ["revoked"]


def test_accepted_emergency_revokes_its_other_offers(bench: Workbench) -> None:
    referral = new_id()
    first, second, third = opened(bench.take(submitted(referral, urgency=Urgency.emergency)))
    published = bench.take(answer(second), answer(first))
    assert [type(fact) for fact in published] == [OfferAccepted, OfferRevoked, OfferRevoked, AnswerRefused]
    states = {offer["id"]: offer["state"] for offer in view(bench, referral, SENDER)["offers"]}
    assert states == {
        first.offer_id: "revoked",
        second.offer_id: "accepted",
        third.offer_id: "revoked",
    }


def test_batch_with_acceptances_of_many_emergencies_closes_all_their_offers(bench: Workbench) -> None:
    ids = [new_id() for _ in range(40)]
    published = opened(bench.take(*(submitted(one, urgency=Urgency.emergency) for one in ids)))
    firsts = {offer.referral_id: offer for offer in reversed(published)}
    counted = Counter(type(fact) for fact in bench.take(*map(answer, firsts.values())))
    assert counted == {OfferAccepted: 40, OfferRevoked: 80}


def test_fact_before_its_referral_is_retried_and_applied(bench: Workbench) -> None:
    referral = new_id()
    early = withdrawal(referral)
    with bench.database.write() as transaction, pytest.raises(Unavailable):
        bench.commands.take_facts(transaction, [early], NOW)
    assert bench.take(early) == []
    bench.take(submitted(referral))
    bench.clock.time += 10 * SECOND
    assert bench.processor.retry_due() == 1
    assert status(bench, referral) == "withdrawn"
    assert bench.processor.retry_due() == 0


def test_retried_fact_does_not_block_the_rest_of_its_batch(bench: Workbench) -> None:
    referral = new_id()
    published = bench.take(withdrawal(new_id()), submitted(referral))
    assert [offer.referral_id for offer in opened(published)] == [referral]


def test_repeated_message_takes_effect_once(bench: Workbench) -> None:
    referral = submitted(new_id())
    assert len(bench.take(referral, referral)) == 1
    assert bench.take(referral) == []
    # another message with the same submission, as from an intake that lost its idempotency keys
    again = event(referral.data, referral.partition_key)
    assert bench.take(again) == []
    steps = [entry["fact"] for entry in view(bench, referral.partition_key, SENDER)["timeline"]]
    assert steps == ["referral.submitted", "offer.opened"]


def test_published_facts_carry_their_causation(bench: Workbench) -> None:
    cause = submitted(new_id())
    bench.take(cause)
    (effect,) = bench.published()
    assert effect.causation_id == cause.id
    assert effect.correlation_id == cause.correlation_id
    assert effect.traceparent == caused_by(cause.traceparent, "/kg/routing", cause.id)
    assert effect.partition_key == cause.partition_key
    assert effect.source == "/kg/routing"
    bench.fire(NOW + 4 * DAY)
    expired = bench.published()[1]
    assert expired.causation_id is None
    assert expired.correlation_id == cause.correlation_id


def test_decisions_of_a_deadline_continue_the_trace_of_the_submission(bench: Workbench) -> None:
    """Each has a span of its own, which is the parent of what it publishes."""
    cause = submitted(new_id())
    handled = parse(caused_by(cause.traceparent, "/kg/routing", cause.id))
    assert handled is not None
    bench.take(cause)
    bench.fire(NOW + 4 * DAY)
    after = bench.published()[1:]
    assert len(after) > 1
    (decided,) = bench.decided
    assert (decided.parent, decided.fact, decided.time) == (handled, after[0].type, NOW + 4 * DAY)
    assert {one.traceparent for one in after} == {str(decided.at)}
    assert decided.at.span_id != handled.span_id
    assert parse(after[0].traceparent) == handled.child(decided.at.span_id)


def test_effects_of_an_answer_in_another_trace_are_in_that_of_the_referral(bench: Workbench) -> None:
    """The other candidates could recognise its author by the trace."""
    cause = submitted(new_id())
    (offer,) = opened(bench.take(cause))
    authors = continued(None)
    bench.take(replace(answer(offer, Answer.decline), traceparent=str(authors)))
    handled = parse(caused_by(cause.traceparent, "/kg/routing", cause.id))
    assert handled is not None
    after = bench.published()[1:]
    assert {type(one.data) for one in after} == {OfferDeclined, OfferOpened}
    (decided,) = bench.decided
    assert decided.parent == handled
    assert {one.traceparent for one in after} == {str(decided.at)}
    assert decided.at.trace_id == handled.trace_id != authors.trace_id


def test_effects_of_an_answer_in_the_trace_of_the_referral_continue_it(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    answered = answer(offer, Answer.decline)
    bench.take(answered)
    after = bench.published()[1:]
    expected = caused_by(answered.traceparent, "/kg/routing", answered.id)
    assert {one.traceparent for one in after} == {expected}
    assert bench.decided == []


def test_deadline_of_a_referral_without_a_trace_has_no_span(bench: Workbench) -> None:
    bench.take(replace(submitted(new_id()), traceparent=None))
    bench.fire(NOW + 4 * DAY)
    assert bench.decided == []
    assert {one.traceparent for one in bench.published()} == {None}


# --- deadlines --------------------------------------------------------------------------------------


def test_offers_expire_at_their_deadline_until_no_candidate_is_left(
    bench: Workbench,
) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral, urgency=Urgency.urgent)))
    assert [type(fact) for fact in bench.fire(offer.deadline - SECOND)] == [OfferReminded]
    assert bench.fire(offer.deadline) == [], "an answer may still be under way"
    seen = [offer.organization]
    while offers := opened(bench.fire(offer.deadline + ANSWERS_UNDER_WAY)):
        (offer,) = offers
        seen.append(offer.organization)
    assert sorted(seen) == ["ru.one", "ru.three", "ru.two"]
    assert status(bench, referral) == "unplaced"
    assert isinstance(bench.published()[-1].data, ReferralUnplaced)
    assert bench.fire(NOW + 400 * DAY) == []


def test_offer_does_not_expire_while_the_consumer_reads_older_messages(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id(), urgency=Urgency.urgent)))
    late = bench.clock.time = offer.deadline + 2 * MINUTE
    bench.take(replace(submitted(new_id()), time=offer.deadline - MINUTE))
    assert bench.fire(late + SECOND) == [], "an answer may lie a minute further on in the same queue"
    accepted = bench.take(answer(offer, at=offer.deadline))
    assert [type(fact) for fact in accepted] == [OfferAccepted]


def test_offers_expire_once_the_queue_is_empty(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id(), urgency=Urgency.urgent)))
    late = bench.clock.time = offer.deadline + 2 * MINUTE
    bench.take(replace(submitted(new_id()), time=offer.deadline - MINUTE))
    expired, *_ = bench.fire(late + QUIET)
    assert isinstance(expired, OfferExpired)


def test_endless_backlog_does_not_keep_offers_open(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id(), urgency=Urgency.urgent)))
    late = bench.clock.time = offer.deadline + RoutingPolicy().wait_for_backlog()
    bench.take(replace(submitted(new_id()), time=offer.deadline - MINUTE))
    expired, *_ = bench.fire(late)
    assert isinstance(expired, OfferExpired)


def test_timely_answer_to_an_expired_offer_is_accepted(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral, urgency=Urgency.urgent)))
    expired, following = bench.fire(offer.deadline + ANSWERS_UNDER_WAY)
    assert (type(expired), type(following)) == (OfferExpired, OfferOpened)
    accepted, revoked = bench.take(answer(offer, at=offer.deadline))
    assert isinstance(accepted, OfferAccepted)
    assert isinstance(revoked, OfferRevoked)
    assert status(bench, referral) == "accepted"
    seen = bench.observations()[offer.organization]
    assert (seen.answered, seen.expired, seen.accepted, seen.pending) == (1, 0, 1, 0)


def test_due_deadlines_are_split_over_transactions(bench: Workbench) -> None:
    bench.take(*(submitted(new_id(), urgency=Urgency.urgent) for _ in range(230)))
    at = NOW + DAY + ANSWERS_UNDER_WAY
    bench.clock.time = at
    assert [bench.commands.fire_deadlines(at) for _ in range(3)] == [200, 30, 0]
    counted = Counter(type(event.data) for event in bench.published())
    assert counted[OfferExpired] == 230


def test_overdue_is_repeated_until_the_acceptor_reports(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral, urgency=Urgency.urgent)))
    bench.take(answer(offer))
    assert bench.fire(NOW + 3 * DAY - SECOND) == []
    (overdue,) = bench.fire(NOW + 3 * DAY)
    assert isinstance(overdue, ReferralOverdue)
    assert overdue.organization == offer.organization
    assert bench.fire(NOW + 3 * DAY) == []
    assert [type(fact) for fact in bench.fire(NOW + 6 * DAY)] == [ReferralOverdue]
    bench.take(outcome(referral, offer.organization))
    assert bench.fire(NOW + 60 * DAY) == []


def test_relay_is_woken_after_deadlines(bench: Workbench) -> None:
    bench.take(submitted(new_id()))
    before = bench.woken
    bench.fire(NOW + 4 * DAY)
    assert bench.woken == before + 1


# --- two processes on one database ------------------------------------------------------------------


def test_concurrent_acceptances_in_two_processes_accept_one(postgres_database: str) -> None:
    one = workbench(postgres_database)
    two = Workbench(postgres_database, ("ru.one", "ru.two", "ru.three"))
    ids = [new_id() for _ in range(25)]
    offers = opened(one.take(*(submitted(i, urgency=Urgency.emergency) for i in ids)))
    per_referral = {i: [o for o in offers if o.referral_id == i] for i in ids}
    barrier = threading.Barrier(2)
    failures: list[BaseException] = []

    def accept(bench: Workbench, place: int) -> None:
        try:
            barrier.wait(10)
            for referral in ids:
                bench.processor.process([delivery(answer(per_referral[referral][place]))])
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=accept, args=pair) for pair in ((one, 0), (two, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    counted = Counter(type(submission.data) for submission in one.published())
    assert counted == {OfferOpened: 75, OfferAccepted: 25, OfferRevoked: 50, AnswerRefused: 25}
    one.close()
    two.close()


def test_concurrent_timers_expire_an_offer_once(postgres_database: str) -> None:
    one = workbench(postgres_database)
    two = Workbench(postgres_database, ("ru.one", "ru.two", "ru.three"))
    one.take(*(submitted(new_id()) for _ in range(50)))
    barrier = threading.Barrier(2)

    def fire(bench: Workbench) -> None:
        barrier.wait(10)
        bench.commands.fire_deadlines(NOW + 4 * DAY)

    threads = [threading.Thread(target=fire, args=(bench,)) for bench in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    counted = Counter(type(submission.data) for submission in one.published())
    assert counted == {OfferOpened: 100, OfferExpired: 50}
    one.close()
    two.close()


def test_offer_closed_by_another_process_is_not_closed_again(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    with bench.database.write() as transaction:
        known = bench.store.load(transaction, [offer.referral_id])
        # Another process changes the offer without locking the referral.
        transaction.execute(update(OFFERS).values(state="expired"))
        bench.store.load = lambda *_: known  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            list(bench.commands.take_facts(transaction, [answer(offer)], NOW))


# --- views ------------------------------------------------------------------------------------------


@pytest.fixture
def declined_once(bench: Workbench) -> tuple[str, OfferOpened, OfferOpened]:
    """Return a completed referral, its declined offer and its accepted offer."""
    referral = new_id()
    (first,) = opened(bench.take(submitted(referral)))
    (second,) = opened(bench.take(answer(first, Answer.decline)))
    bench.take(answer(second), outcome(referral, second.organization))
    return referral, first, second


def test_sender_sees_the_whole_referral(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, second = declined_once
    for viewer, oversight in ((SENDER, False), ("kg.auditor", True)):
        shown = view(bench, referral, viewer, oversight=oversight)
        assert shown["status"] == "completed"
        assert shown["acceptor"] == second.organization
        assert shown["outcome"] == "resolved"
        assert shown["facts"]["consent"]["given"] is True
        assert [offer["state"] for offer in shown["offers"]] == ["declined", "accepted"]
        assert [entry["fact"] for entry in shown["timeline"]] == [
            "referral.submitted",
            "offer.opened",
            "answer.submitted",
            "offer.declined",
            "offer.opened",
            "answer.submitted",
            "offer.accepted",
            "outcome.submitted",
            "referral.completed",
        ]
    assert first.organization != second.organization


def test_declining_organization_sees_only_its_own_offer_and_steps(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, second = declined_once
    shown = view(bench, referral, first.organization)
    assert [offer["organization"] for offer in shown["offers"]] == [first.organization]
    assert {entry["organization"] for entry in shown["timeline"]} == {first.organization}
    assert shown["facts"] is None
    assert shown["acceptor"] is None
    assert shown["outcome"] is None
    assert second.organization not in json.dumps(shown)


def test_acceptor_sees_its_own_part_without_consent(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, second = declined_once
    shown = view(bench, referral, second.organization)
    assert shown["acceptor"] == second.organization
    assert shown["outcome"] == "resolved"
    assert shown["facts"] is None
    assert first.organization not in json.dumps(shown)


def test_candidate_with_open_offer_sees_facts_without_consent(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    facts = view(bench, referral, offer.organization)["facts"]
    assert facts["needs"]
    assert "consent" not in facts
    assert "to" not in facts


def test_referral_of_other_parties_is_not_found(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, second = declined_once
    uninvolved = ({"ru.one", "ru.two", "ru.three"} - {first.organization, second.organization}).pop()
    for viewer in (uninvolved, "kz.stranger"):
        for look in (
            lambda v: view(bench, referral, v),
            lambda v: bench.queries.decisions(referral, v, oversight=False),
        ):
            with pytest.raises(Refused) as refused:
                look(viewer)
            assert refused.value.slug == "not-found"
        assert bench.queries.is_party(referral, viewer) is False
    with pytest.raises(Refused):
        view(bench, new_id(), "kg.auditor", oversight=True)


def test_decisions_are_readable_by_sender_and_oversight_only(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, _ = declined_once
    for viewer, oversight in ((SENDER, False), ("kg.auditor", True)):
        found = bench.queries.decisions(referral, viewer, oversight=oversight)
        assert [decision["trigger"] for decision in found] == ["submitted", "declined"]
        second = {c["organization"]: c for c in found[1]["candidates"]}[first.organization]
        assert [r["rule"] for r in second["rules"] if not r["passed"]] == ["not_declined_for_person"]
    with pytest.raises(Refused) as refused:
        bench.queries.decisions(referral, first.organization, oversight=False)
    assert refused.value.slug == "forbidden"


@pytest.mark.parametrize("oversight", [False, True])
def test_other_greenlets_may_run_after_each_candidate_of_a_decision_that_is_shown(
    bench: Workbench,
    declined_once: tuple[str, OfferOpened, OfferOpened],
    monkeypatch: pytest.MonkeyPatch,
    oversight: bool,
) -> None:
    """A referral may have tens of decisions about hundreds of services."""
    referral, _, _ = declined_once
    counted = count_turns(monkeypatch)
    shown = bench.queries.decisions(referral, SENDER, oversight=oversight)
    candidates = sum(len(decision["candidates"]) for decision in shown)
    # For the sender the values are made coarse first. Each decision is read in a turn of its own.
    assert counted["in_turns"] == candidates * (1 if oversight else 2) + len(shown)
    assert candidates > len(shown)


def test_only_staff_see_the_time_of_another_senders_offer(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    bench.take(submitted(later := new_id()))
    for viewer, oversight, time in ((SENDER, False, "T00:00:00Z"), ("kg.auditor", True, "T09:00:00Z")):
        (decision,) = bench.queries.decisions(later, viewer, oversight=oversight)
        asked = decision["turn"]["organizations"][offer.organization]["last_asked"]
        assert asked == f"{NOW:%Y-%m-%d}{time}"


def test_view_shows_the_newest_steps_and_refusals_to_their_author_only(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries_module, "MOST_STEPS", 6)
    monkeypatch.setattr(view_module, "MOST_STEPS", 6)
    referral = new_id()
    (first,) = opened(bench.take(submitted(referral)))
    (second,) = opened(bench.take(answer(first, Answer.decline)))
    bench.take(answer(second))
    bench.take(*(outcome(referral, first.organization) for _ in range(9)))
    for viewer, oversight in ((SENDER, False), ("kg.auditor", True)):
        shown = view(bench, referral, viewer, oversight=oversight)
        assert [entry["fact"] for entry in shown["timeline"]] == [
            "offer.opened",
            "answer.submitted",
            "offer.declined",
            "offer.opened",
            "answer.submitted",
            "offer.accepted",
        ]
        assert shown["timeline_truncated"] is True
    own = view(bench, referral, first.organization)
    assert [entry["fact"] for entry in own["timeline"]] == ["submission.refused"] * 6
    assert view(bench, referral, second.organization)["timeline_truncated"] is False


def test_sender_sees_its_own_refused_submission_and_no_candidate_does(bench: Workbench) -> None:
    referral = new_id()
    (first,) = opened(bench.take(submitted(referral)))
    bench.take(outcome(referral, SENDER), outcome(referral, first.organization))
    refused = [
        (viewer, entry["organization"])
        for viewer in (SENDER, first.organization)
        for entry in view(bench, referral, viewer)["timeline"]
        if entry["fact"] == "submission.refused"
    ]
    assert refused == [(SENDER, SENDER), (first.organization, first.organization)]


def test_roles_query_returns_only_referrals_that_routing_has_read(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, second = declined_once
    fresh = new_id()
    (asked,) = opened(bench.take(submitted(fresh)))

    def roles(organization: str) -> Any:
        query = RolesQuery(ids=(referral, fresh, new_id()), organization=organization)
        return plain(reply_to_query(bench.queries, query.wire()))

    assert roles(SENDER) == {referral: "sender", fresh: "sender"}
    assert roles(first.organization)[referral] == "none"
    assert roles(second.organization)[referral] == "acceptor"
    assert roles(asked.organization)[fresh] == "candidate"
    assert roles("kz.stranger") == {referral: "none", fresh: "none"}


def test_ended_referrals_are_returned_of_those_that_routing_has_read(bench: Workbench) -> None:
    ended, fresh = new_id(), new_id()
    bench.take(submitted(ended))
    bench.take(submitted(fresh))
    bench.take(withdrawal(ended))
    query = EndedQuery(ids=(ended, fresh, new_id()))
    assert plain(reply_to_query(bench.queries, query.wire())) == [ended]


def test_queries_of_other_services_are_answered(
    bench: Workbench, declined_once: tuple[str, OfferOpened, OfferOpened]
) -> None:
    referral, first, _ = declined_once

    def ask(query: Any) -> Any:
        return plain(reply_to_query(bench.queries, query.wire()))

    assert ask(OfferQuery(id=first.offer_id)) == [referral, first.organization]
    assert ask(OfferQuery(id=new_id())) is None
    assert ask(PartyQuery(id=referral, organization=SENDER)) is True
    assert ask(PartyQuery(id=referral, organization=first.organization)) is True
    assert ask(PartyQuery(id=new_id(), organization=SENDER)) is False
    (listed,) = ask(ReferralListQuery(viewer=SENDER, oversight=False, limit=10))
    assert set(listed) == {
        "id",
        "sender",
        "status",
        "acceptor",
        "urgency",
        "region",
        "needs",
        "submitted_at",
        "updated_at",
        "part_of",
    }
    with pytest.raises(Refused):
        ask(ReferralListQuery(viewer=SENDER, oversight=False, limit=10, status="lost"))
    with pytest.raises(Refused):
        reply_to_query(bench.queries, {"ask": "everything"})


def test_referral_lists_are_paged_by_party_and_status(bench: Workbench) -> None:
    bench.absorb([sender("kg.other")])
    ours = [new_id() for _ in range(7)]
    others = [new_id() for _ in range(3)]
    published = bench.take(
        *(submitted(one) for one in ours), *(submitted(one, sender="kg.other") for one in others)
    )
    bench.take(withdrawal(ours[0]))

    def pages(viewer: str, *, oversight: bool = False, status: str | None = None) -> list[list[str]]:
        found: list[list[str]] = []
        after = None
        while True:
            page = bench.queries.referrals(viewer, oversight=oversight, status=status, after=after, limit=3)
            if not page:
                return found
            found.append([item.id for item in page])
            after = found[-1][-1]

    assert pages(SENDER) == [ours[:3], ours[3:6], ours[6:]]
    assert pages(SENDER, status="withdrawn") == [[ours[0]]]
    assert list(chain(*pages("kg.other"))) == others
    assert list(chain(*pages("kg.auditor", oversight=True))) == sorted(ours + others)
    assert pages("kz.stranger") == []
    asked = [offer.referral_id for offer in opened(published) if offer.organization == "ru.one"]
    assert list(chain(*pages("ru.one"))) == sorted(asked)


# --- coordinators -----------------------------------------------------------------------------------


@pytest.fixture
def unplaced(database_url: str) -> Iterator[tuple[Workbench, list[str]]]:
    far = organization("ru.far", service(areas=("RU-SPE",)))
    new = organization("ru.new", vetting=Vetting.applied)
    bench = workbench(database_url, far, new)
    ids = [new_id() for _ in range(5)]
    bench.take(*(submitted(one) for one in ids))
    yield bench, ids
    bench.close()


def test_coordinator_lists_and_places_unplaced_referrals(unplaced: tuple[Workbench, list[str]]) -> None:
    bench, ids = unplaced
    first = bench.queries.unplaced(after=None, limit=3)
    assert [item.id for item in first] == ids[:3]
    assert plain(first[0]) == {
        "id": ids[0],
        "urgency": "routine",
        "needs": ["legal.wage_claim"],
        "region": "RU-MOW",
        "since": "2026-03-02T09:00:00Z",
        "reason": "no_candidate",
        "part_of": None,
    }
    assert [item.id for item in bench.queries.unplaced(after=ids[2], limit=3)] == ids[3:]
    assert [(one.status, one.referrals) for one in bench.queries.figures().open] == [("unplaced", 5)]

    number = bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW)
    submission = bench.published()[-1]
    assert submission.id == number
    assert isinstance(submission.data, PlacementSubmitted)
    # submitted, not yet applied: it takes effect when it arrives by the queue, in order
    assert status(bench, ids[0]) == "unplaced"
    (offer,) = opened(bench.take(submission))
    assert offer.organization == "ru.far"
    assert status(bench, ids[0]) == "offered"
    (_, placed) = bench.queries.decisions(ids[0], SENDER, oversight=False)
    assert placed["overridden"] == ["area_served"]
    assert ids[0] not in [item.id for item in bench.queries.unplaced(after=None, limit=10)]


@pytest.mark.parametrize(
    ("receiver", "slug"), [("ru.new", "conflict"), ("ru.nobody", "unknown-organization")]
)
def test_refused_placement_raises_and_publishes_a_fact(
    unplaced: tuple[Workbench, list[str]], receiver: str, slug: str
) -> None:
    bench, ids = unplaced
    before = len(bench.published())
    with pytest.raises(Refused) as refused:
        bench.commands.submit_placement(ids[0], receiver, COORDINATOR, NOW)
    assert refused.value.slug == slug
    (submission,) = bench.published()[before:]
    assert isinstance(submission.data, PlacementRefused)
    assert (submission.data.referral_id, submission.partition_key) == (ids[0], ids[0])
    assert (submission.data.organization, submission.data.coordinator) == (receiver, COORDINATOR)
    assert submission.data.problem == refused.value.problem()
    assert status(bench, ids[0]) == "unplaced"
    with pytest.raises(Refused) as refused:
        bench.commands.submit_placement(new_id(), "ru.far", COORDINATOR, NOW)
    assert refused.value.slug == "not-found"
    assert len(bench.published()) == before + 1


def test_repeated_placement_returns_first_id_and_has_one_effect(
    unplaced: tuple[Workbench, list[str]],
) -> None:
    bench, ids = unplaced
    before = len(bench.published())
    first = bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW, key="k")
    assert bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW, key="k") == first
    assert len(bench.published()) == before + 1
    bench.take(bench.published()[-1])
    # It would be refused now: the referral is offered.
    assert bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW, key="k") == first
    for referral, receiver in ((ids[1], "ru.far"), (ids[0], "ru.new")):
        with pytest.raises(Refused) as refused:
            bench.commands.submit_placement(referral, receiver, COORDINATOR, NOW, key="k")
        assert refused.value.slug == "idempotency-conflict"
    other = bench.commands.submit_placement(ids[1], "ru.far", "kg.other-coordinator", NOW, key="k")
    assert other != first


def test_refused_placement_leaves_its_key_unused(unplaced: tuple[Workbench, list[str]]) -> None:
    bench, ids = unplaced
    with pytest.raises(Refused):
        bench.commands.submit_placement(ids[0], "ru.nobody", COORDINATOR, NOW, key="k")
    bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW, key="k")


def test_key_of_a_placement_is_forgotten_after_a_month(unplaced: tuple[Workbench, list[str]]) -> None:
    bench, ids = unplaced
    first = bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW, key="k")
    later = NOW + KEYS_KEPT + dt.timedelta(seconds=1)
    bench.commands.submit_placement(ids[1], "ru.far", COORDINATOR, later, key="another")
    assert bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, later, key="k") != first


def test_answer_to_a_stored_placement_is_reported_to_coordinators(
    unplaced: tuple[Workbench, list[str]],
) -> None:
    bench, ids = unplaced
    bench.commands.submit_placement(ids[0], "ru.far", COORDINATOR, NOW)
    (offer,) = opened(bench.take(bench.published()[-1]))
    (answered,) = [fact for fact in bench.take(answer(offer)) if isinstance(fact, PlacementAnswered)]
    assert (answered.offer_id, answered.coordinator, answered.result) == (
        offer.offer_id,
        COORDINATOR,
        "accepted",
    )


def test_fault_in_apply_is_not_treated_as_unknown_referral(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))

    def broken(*_: object) -> None:
        raise KeyError("rank")

    monkeypatch.setattr("services.routing.domain.lifecycle.refuse_if_late", broken)
    with pytest.raises(KeyError), bench.database.write() as transaction:
        bench.commands.take_facts(transaction, [answer(offer)], NOW)


# --- observations -----------------------------------------------------------------------------------


def pending(offers: int, *, accepted: int = 0, waiting: int = 0) -> Observation:
    """The observation of routine offers of one sender that all await their answer."""
    demand = {(SENDER, Urgency.routine): Demand(offers=offers, waiting=waiting)}
    return Observation(last_asked=NOW, services={"legal": ServiceLoad(accepted=accepted, demand=demand)})


def test_observations_are_summed(bench: Workbench) -> None:
    ids = [new_id() for _ in range(30)]
    offers = opened(bench.take(*(submitted(one) for one in ids)))
    at = NOW + HOUR
    bench.clock.time = at
    bench.take(*(answer(offer, at=at) for offer in offers[:20]))
    bench.take(*(outcome(offer.referral_id, offer.organization) for offer in offers[:5]))
    bench.fire(NOW + 4 * DAY)
    seen = bench.observations()
    total = Observation()
    for one in seen.values():
        total = total.plus(one)
    # Each expired referral was offered to the next organisation.
    assert total == replace(
        pending(10, accepted=15),
        answered=20,
        expired=10,
        answer_seconds=20 * 3600,
        last_asked=NOW + 4 * DAY,
    )
    assert {name: bench.network.observed(name) for name in seen} == seen


@pytest.mark.parametrize("read_after", [0 * HOUR, 30 * MINUTE, 2 * DAY], ids=["at once", "late", "expired"])
def test_answer_time_of_an_acceptance_that_is_handed_back_is_taken_back(
    database_url: str, read_after: dt.timedelta
) -> None:
    bench = workbench(database_url, organization("ru.one"))
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    # What was added is subtracted, however late routing read the acceptance.
    read_at = NOW + HOUR + read_after
    bench.fire(read_at)
    bench.clock.time = read_at
    bench.take(answer(offer, at=NOW + HOUR))
    assert bench.observations()[offer.organization].answer_seconds == 3600
    bench.clock.time = read_at + HOUR
    back = HandBackSubmitted(
        referral_id=referral, organization=offer.organization, reason=HandBackReason.person_prefers_another
    )
    bench.take(event(back, referral, read_at + HOUR))
    seen = bench.observations()[offer.organization]
    assert (seen.answered, seen.returned, seen.answer_seconds) == (1, 1, 0)
    assert bench.network.observed(offer.organization) == seen


def test_accepted_referrals_use_capacity_until_they_end(database_url: str) -> None:
    small = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    bench = workbench(database_url, organization("ru.small", service(capacity=small)))
    first, second, third = new_id(), new_id(), new_id()
    (offer,) = opened(bench.take(submitted(first)))
    bench.take(answer(offer))
    assert opened(bench.take(submitted(second))) == []
    bench.take(outcome(first, "ru.small"))
    assert len(opened(bench.take(submitted(third)))) == 1
    bench.close()


def test_burst_of_referrals_is_spread_over_organizations(database_url: str) -> None:
    small = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=2)
    houses = [organization(f"ru.house-{n}", service(capacity=small)) for n in range(4)]
    bench = workbench(database_url, *houses)
    facts = bench.take(*(submitted(new_id()) for _ in range(9)))
    asked = Counter(offer.organization for offer in opened(facts))
    assert asked == {house.id: 2 for house in houses}
    assert sum(isinstance(fact, ReferralUnplaced) for fact in facts) == 1
    bench.close()


def test_observations_of_a_failed_transaction_are_not_counted_twice(database_url: str) -> None:
    small = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    bench = workbench(database_url, organization("ru.small", service(capacity=small)))
    fact = submitted(new_id())
    with pytest.raises(ZeroDivisionError), bench.database.write() as transaction:
        list(bench.commands.take_facts(transaction, [fact], NOW))
        raise ZeroDivisionError
    assert len(opened(bench.take(fact))) == 1
    assert bench.network.observed("ru.small").pending == 1
    bench.close()


def test_observations_of_a_failed_transaction_are_dropped_by_recall(bench: Workbench) -> None:
    (offer,) = opened(bench.take(submitted(new_id())))
    with pytest.raises(ZeroDivisionError), bench.database.write() as transaction:
        list(bench.commands.take_facts(transaction, [answer(offer)], NOW))
        raise ZeroDivisionError
    bench.commands.recall()
    assert bench.network.observed(offer.organization) == pending(1)
    assert [type(fact) for fact in bench.take(answer(offer))] == [OfferAccepted]
    assert bench.network.observed(offer.organization).accepted == 1


@pytest.fixture
def small(postgres_database: str) -> Iterator[Workbench]:
    """`ru.small` has one place. Another organisation's offer is due tomorrow: the timer has work.

    The database is PostgreSQL, where the timer's transaction may begin and end during that of a batch.
    """
    room_for_one = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    bench = workbench(
        postgres_database,
        organization("ru.small", service(capacity=room_for_one)),
        organization("ru.other", service(areas=("RU-SPE",))),
    )
    (due,) = opened(bench.take(submitted(new_id(), region="RU-SPE")))
    assert due.organization == "ru.other"
    yield bench
    bench.close()


def test_observations_of_an_open_batch_survive_the_timer(small: Workbench) -> None:
    with small.database.write() as transaction:
        list(small.commands.take_facts(transaction, [submitted(new_id())], NOW))
        assert OfferExpired in {type(fact) for fact in small.fire(NOW + 4 * DAY)}
        # The end of the timer's own transaction must not settle the open batch, whose outcome is unknown.
        assert small.network.observed("ru.small").pending == 1
    assert opened(small.take(submitted(new_id()))) == []
    waiting = pending(1, waiting=1)
    assert small.network.observed("ru.small") == small.observations()["ru.small"] == waiting


def test_observations_of_a_failed_batch_are_dropped_despite_the_timer(
    small: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fact, save = submitted(new_id()), small.store.save
    with pytest.raises(ZeroDivisionError), ExitStack() as batch:

        def saved_after_a_batch_was(timers: Connection, changes: Changes) -> None:
            monkeypatch.setattr(small.store, "save", save)
            transaction = batch.enter_context(small.database.write())
            list(small.commands.take_facts(transaction, [fact], NOW))
            save(timers, changes)

        monkeypatch.setattr(small.store, "save", saved_after_a_batch_was)
        assert OfferExpired in {type(fact) for fact in small.fire(NOW + 4 * DAY)}
        raise ZeroDivisionError
    assert [offer.organization for offer in opened(small.take(fact))] == ["ru.small"]
    assert small.network.observed("ru.small").pending == 1


def test_observations_of_a_batch_are_visible_before_its_write(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL the timer may decide during the write."""
    save, known = bench.store.save, {}

    def noted_and_saved(transaction: Connection, changes: Changes) -> None:
        known.update({name: bench.network.observed(name) for name in changes.observed})
        save(transaction, changes)

    monkeypatch.setattr(bench.store, "save", noted_and_saved)
    bench.take(submitted(new_id()))
    assert list(known.values()) == [pending(1)]
    assert known == bench.observations()


def test_recall_keeps_observations_committed_during_its_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Capacity(status=CapacityStatus.capacity, updated_at=NOW, maximum=1)
    bench = workbench(database_url, organization("ru.small", service(capacity=small)))
    batch = ExitStack()
    transaction = batch.enter_context(bench.database.write())
    list(bench.commands.take_facts(transaction, [submitted(new_id())], NOW))
    read = bench.store.observations

    def read_before_the_commit(transaction: Connection) -> dict[str, Observation]:
        found = read(transaction)
        batch.close()
        return found

    monkeypatch.setattr(bench.store, "observations", read_before_the_commit)
    bench.commands.recall()
    assert bench.observations()["ru.small"].pending == 1
    assert opened(bench.take(submitted(new_id()))) == []
    bench.close()


def test_published_facts_have_their_routing_keys(bench: Workbench) -> None:
    """Each published fact has its routing key from the catalogue."""
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral)))
    bench.take(answer(offer), progress(referral, offer.organization), outcome(referral, offer.organization))
    with bench.database.read() as transaction:
        keys = list(transaction.execute(select(MESSAGING.outbox.c.routing_key)).scalars())
    assert keys == [
        fact.routing_key
        for fact in (OfferOpened, DecisionsRecorded, OfferAccepted, ReferralProgressed, ReferralCompleted)
    ]
