"""A party reads exactly the steps of a referral that routing shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contracts.codes import Answer, Outcome, ProgressStatus, WithdrawalReason
from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import (
    AnswerSubmitted,
    CaseReleased,
    DeliveryDelivered,
    Fact,
    HistoryRead,
    NoteSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    PartOpened,
    ProgressSubmitted,
    WithdrawalSubmitted,
)
from contracts.part_id import part_id
from contracts.records import plain
from runtime.identifiers import new_id
from services.audit.log.domain.entry import entry_of
from services.audit.reports.domain.party_view import LoggedStep, readable_by, withheld_from
from services.audit.reports.domain.readers import viewer_of
from services.routing.domain.refusals import OF_ORGANIZATIONS
from tests.unit.services.routing.samples import DAY, NOW, SENDER, consent, organization, service
from tests.unit.services.routing.workbench import Workbench, event, opened, submitted, workbench

REFERRAL = new_id()
ONE, TWO, STRANGER = "ru.one", "ru.two", "kz.stranger"


@pytest.fixture
def routing(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, ONE, TWO)
    yield bench
    bench.close()


def logged(events: list[Event[Fact]]) -> list[LoggedStep]:
    """Return the events as the steps that audit's leaves state, in this order."""
    steps = []
    for index, event_ in enumerate(events):
        leaf = entry_of(
            message_id=event_.id,
            type=event_.data.type,
            time=event_.time,
            source=event_.source,
            partition_key=event_.partition_key,
            data=plain(event_.data),
        )
        steps.append(
            LoggedStep(index=index, type=leaf.type, actor=leaf.actor, organization=leaf.organization)
        )
    return steps


class Journey:
    """A referral at routing, and everything that reaches the log meanwhile."""

    def __init__(self, routing: Workbench) -> None:
        self.routing = routing
        self.log: list[Event[Fact]] = []
        self._said = 0
        self.take(submitted(REFERRAL))

    def take(self, *events: Event[Fact]) -> list[Fact]:
        self.log += [one for one in events if one.source != "/kg/routing"]
        facts = self.routing.take(*events)
        self.hear()
        return facts

    def hear(self) -> None:
        outbox = self.routing.published()
        self.log += outbox[self._said :]
        self._said = len(outbox)

    def also(self, source: str, fact: Fact) -> None:
        event_ = event(fact, REFERRAL)
        self.log.append(
            Event(
                id=event_.id,
                source=source,
                time=event_.time,
                partition_key=REFERRAL,
                correlation_id=event_.id,
                causation_id=None,
                data=fact,
            )
        )

    def answer(self, what: Answer, *, by: str | None = None) -> None:
        offer = opened(fact.data for fact in self.log)[-1]
        event_ = AnswerSubmitted(
            referral_id=REFERRAL,
            offer_id=offer.offer_id,
            organization=by or offer.organization,
            answer=what,
            reason=None if what is Answer.accept else "no_capacity",  # type: ignore[arg-type]
        )
        self.take(event(event_, REFERRAL))

    def check(self) -> None:
        steps = logged(self.log)
        for viewer in (SENDER, ONE, TWO, STRANGER):
            readable = readable_by(viewer, steps)
            try:
                view: dict[str, Any] = plain(self.routing.queries.referral(REFERRAL, viewer, oversight=False))
            except Refused:
                assert readable is None, f"{viewer} may not see the referral"
                continue
            assert readable is not None, f"{viewer} may see the referral"
            # Routing shows what was refused to its author only, and there without the submission.
            refusals = {
                getattr(one.data, "submission_id", None): getattr(one.data, "organization", None)
                for one in self.log
                if isinstance(one.data, OF_ORGANIZATIONS)
            }
            shown_facts = sorted(
                one.data.routing_key
                for one in (self.log[index] for index in readable)
                if one.id not in refusals
                and (refusals.get(getattr(one.data, "submission_id", None), viewer) == viewer)
            )
            assert shown_facts == sorted(entry["fact"] for entry in view["timeline"]), viewer
            opened_here = [index for index in readable if isinstance(self.log[index].data, OfferOpened)]
            shows_facts = bool(set(opened_here) - withheld_from(viewer, steps))
            assert shows_facts == (view["facts"] is not None), f"{viewer} reads the facts in one of the two"
            assert (view["needs"] is None) == (view["facts"] is None)


def test_receivers_read_their_own_steps_and_the_sender_all(routing: Workbench) -> None:
    journey = Journey(routing)
    journey.check()
    first = opened(fact.data for fact in journey.log)[0].organization
    journey.also(
        "/kg/delivery",
        DeliveryDelivered(
            referral_id=REFERRAL,
            organization=first,
            message_id=new_id(),
            message_type="kopuro.offer.opened.v1",
        ),
    )
    journey.answer(Answer.decline)
    journey.check()
    journey.answer(Answer.accept, by=first)  # refused: the offer is not theirs
    journey.answer(Answer.accept)
    acceptor = ({ONE, TWO} - {first}).pop()
    journey.also("/kg/vault", CaseReleased(referral_id=REFERRAL, organization=acceptor, kid="k" * 43))
    journey.also("/kg/intake", NoteSubmitted(referral_id=REFERRAL, organization=acceptor))
    journey.also("/kg/audit", HistoryRead(reader="kg.auditor", filter={}, entries=1))
    working = ProgressSubmitted(
        referral_id=REFERRAL, organization=acceptor, status=ProgressStatus.in_progress
    )
    journey.take(event(working, REFERRAL))
    done = OutcomeSubmitted(referral_id=REFERRAL, organization=acceptor, outcome=Outcome.resolved)
    journey.take(event(done, REFERRAL))
    journey.check()
    steps = logged(journey.log)
    read_by_first = [journey.log[index].data.routing_key for index in readable_by(first, steps) or ()]
    assert sorted(read_by_first) == [
        "answer.refused",
        "answer.submitted",
        "answer.submitted",
        "offer.declined",
        "offer.opened",
    ]


def test_placement_is_readable_as_routing_shows_it(routing: Workbench) -> None:
    journey = Journey(routing)
    journey.answer(Answer.decline)
    journey.answer(Answer.decline)
    with pytest.raises(Refused):
        routing.commands.submit_placement(REFERRAL, "ru.nobody", "kg.desk", NOW)
    journey.hear()
    journey.check()
    routing.commands.submit_placement(REFERRAL, ONE, "kg.desk", NOW)
    journey.hear()
    journey.take(journey.log[-1])
    routing.fire(NOW + 4 * DAY)
    journey.hear()
    withdrawn = WithdrawalSubmitted(
        referral_id=REFERRAL, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    journey.take(event(withdrawn, REFERRAL))
    journey.check()


def views(routing: Workbench, viewer: str) -> list[dict[str, Any]]:
    """Return the viewer's view of the referral, and of the list in which it is the only one."""
    queries = routing.queries
    listed = queries.referrals(viewer, oversight=False, status=None, after=None, limit=10)
    return [plain(one) for one in (queries.referral(REFERRAL, viewer, oversight=False), *listed)]


def test_candidate_reads_facts_only_while_its_offer_is_open(routing: Workbench) -> None:
    journey = Journey(routing)
    first = opened(fact.data for fact in journey.log)[0].organization
    second = ({ONE, TWO} - {first}).pop()
    assert all(view["needs"] for view in views(routing, first))
    journey.answer(Answer.decline)
    past, summary = views(routing, first)
    assert (past["facts"], past["needs"], past["region"], past["urgency"]) == (None, None, None, None)
    assert (summary["needs"], summary["region"], summary["urgency"]) == (None, None, None)
    assert [(offer["state"], offer["reason"]) for offer in past["offers"]] == [("declined", "no_capacity")]
    journey.answer(Answer.accept)
    journey.check()
    assert all(view["needs"] for view in views(routing, second))
    done = OutcomeSubmitted(referral_id=REFERRAL, organization=second, outcome=Outcome.resolved)
    journey.take(event(done, REFERRAL))
    journey.check()
    assert views(routing, second)[0]["facts"] is None
    assert views(routing, SENDER)[0]["facts"]


def test_candidate_of_an_expired_offer_reads_no_facts(routing: Workbench) -> None:
    journey = Journey(routing)
    first = opened(fact.data for fact in journey.log)[0].organization
    routing.fire(NOW + 4 * DAY)
    journey.hear()
    journey.check()
    assert views(routing, first)[0]["facts"] is None


def test_facts_of_an_offer_that_expired_and_was_accepted_after_all_are_readable() -> None:
    steps = [
        LoggedStep(index=index, type=f"kopuro.{fact}.v1", actor="/kg/routing", organization=organization)
        for index, (fact, organization) in enumerate(
            [
                ("referral.submitted", SENDER),
                ("offer.opened", ONE),
                ("offer.expired", ONE),
                ("offer.opened", ONE),
                ("offer.expired", ONE),
                ("offer.accepted", ONE),
            ]
        )
    ]
    assert withheld_from(ONE, steps[:2]) == frozenset()
    assert withheld_from(ONE, steps[:3]) == {0, 1, 2}, "its part has ended"
    assert withheld_from(ONE, steps) == {1}
    assert withheld_from(SENDER, steps) == frozenset()
    revoked = LoggedStep(index=6, type="kopuro.acceptance.revoked.v1", actor="/kg/routing", organization=ONE)
    assert withheld_from(ONE, [*steps, revoked]) == set(range(7))


def test_former_acceptor_reads_the_facts_in_the_notice_of_its_suspension_no_longer() -> None:
    types = ["referral.submitted", "offer.opened", "offer.accepted", "referral.acceptor_suspended"]
    types.append("referral.completed")
    steps = [
        LoggedStep(
            index=index,
            type=f"kopuro.{fact}.v1",
            actor="/kg/routing",
            organization=ONE if index else SENDER,
        )
        for index, fact in enumerate(types)
    ]
    assert withheld_from(ONE, steps[:4]) == frozenset(), "it is still the acceptor"
    assert withheld_from(ONE, steps) == {1, 3}
    assert withheld_from(SENDER, steps) == frozenset()


def test_only_the_sender_reads_what_coordinators_submit() -> None:
    """It names the offers and organisations for which the referral waits."""
    acts = [
        f"{what}.{state}"
        for what in ("placement", "intervention", "coordinator_withdrawal")
        for state in ("submitted", "refused")
    ]
    steps = [
        LoggedStep(index=index, type=f"kopuro.{fact}.v1", actor="/kg/routing", organization=organization)
        for index, (fact, organization) in enumerate(
            [("referral.submitted", SENDER), ("offer.opened", ONE), *((fact, ONE) for fact in acts)]
        )
    ]
    assert readable_by(ONE, steps) == frozenset({1})
    assert readable_by(SENDER, steps) == frozenset(range(len(steps)))


def test_parties_of_a_part_read_what_routing_shows_them_and_nothing_of_the_other_part(
    database_url: str,
) -> None:
    bench = workbench(
        database_url,
        organization(ONE, service(needs=("legal.wage_claim",))),
        organization(TWO, service(needs=("basic_needs",))),
    )
    whole = new_id()
    submission = submitted(
        whole, needs=("legal.wage_claim", "basic_needs"), consent=consent(several_organizations=True)
    )
    bench.take(submission)
    first = part_id(whole, 1)
    of_first = logged([one for one in bench.published() if one.partition_key == first])
    assert [step.type for step in of_first if step.index in (readable_by(SENDER, of_first) or ())] == [
        step.type for step in of_first
    ]
    assert {step.type for step in of_first} == {PartOpened.type, OfferOpened.type}
    own = [step.type for step in of_first if step.index in (readable_by(ONE, of_first) or ())]
    assert own == [OfferOpened.type]
    assert readable_by(TWO, of_first) is None
    assert withheld_from(SENDER, of_first) == frozenset()
    of_whole = logged([submission, *(one for one in bench.published() if one.partition_key == whole)])
    assert readable_by(ONE, of_whole) is None
    assert readable_by(SENDER, of_whole) == frozenset({0, 1})
    steps = [(step.type, step.organization) for step in of_first]
    assert viewer_of(SENDER, steps).sees_everything
    assert not viewer_of(ONE, steps).sees_everything
    bench.close()
