"""An attacker who can write to routing's database moves offers and rewrites timelines, and it is noticed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from admin.read_only_engine import open_read_only
from admin.reconciliation.differences import differences
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.codes import (
    Answer,
    CoordinatorAct,
    DeclineReason,
    HandBackReason,
    InterventionReason,
    Outcome,
    ProgressStatus,
)
from contracts.envelope import Envelope, Event
from contracts.facts import (
    AnswerSubmitted,
    Fact,
    HandBackSubmitted,
    InterventionRefused,
    InterventionSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    ProgressSubmitted,
    RevocationSubmitted,
)
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import outgoing
from runtime.storage.database import Database
from services.audit.adapters.tables import FACETS, OPENINGS
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.tables import OFFERS, REFERRALS, TIMELINE
from services.routing.domain.timeline import entry_of
from services.routing.ports import Changes
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import LogOnDatabase, new_key
from tests.unit.services.routing.samples import HOUR, NOW, SENDER
from tests.unit.services.routing.workbench import Workbench, accepted_by, event, opened, submitted, workbench

COORDINATOR = "kg.coordinator"
LATER = NOW + dt.timedelta(days=5)


class RoutedHub:
    """Routing, and the log of what it took and published; the other services are empty."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.urls = {service: f"sqlite:///{folder}/{service}.sqlite" for service in SERVICES}
        for service in set(SERVICES) - {"routing"}:
            opened_database = Database.open(self.urls[service])
            closing.callback(opened_database.close)
            upgrade(f"services.{service}", opened_database)
            if service == "audit":
                self.log = LogOnDatabase(database=opened_database, key=new_key())
                self.log.check()
        self.bench: Workbench = workbench(self.urls["routing"])
        closing.callback(self.bench.close)
        self._logged: set[str] = set()
        self._now = NOW

    def take(self, fact: Fact, referral_id: str) -> list[Fact]:
        """Submit a fact an hour after the one before; return what routing published."""
        self._now += HOUR
        return self._taken(event(fact, referral_id, self._now))

    def _taken(self, submission: Event[Fact]) -> list[Fact]:
        published = self.bench.take(submission)
        self._append([outgoing(submission).body, *self.bench.bodies()])
        return published

    def _append(self, bodies: list[bytes]) -> None:
        new = {one.id: one for body in bodies if (one := Envelope.decode(body)).id not in self._logged}
        self.log.append(list(new.values()))
        self._logged |= new.keys()

    def refer(self) -> tuple[str, OfferOpened]:
        """Submit a referral; return its id and its first offer."""
        referral_id = new_id()
        (offer,) = opened(self._taken(submitted(referral_id)))
        return referral_id, offer

    def extend(self, referral_id: str, days: int = 4) -> dt.datetime:
        """Extend the answer time, or that of the report; return the new deadline."""
        submission, until = self.extension(referral_id, days)
        self._taken(submission)
        return until

    def extension(self, referral_id: str, days: int = 4) -> tuple[Event[Fact], dt.datetime]:
        """Submit an extension that routing has not read; return it and its deadline."""
        self._now += HOUR
        self.bench.clock.time = self._now
        until = self._now + dt.timedelta(days=days)
        act = InterventionSubmitted(
            referral_id=referral_id,
            organization=None,
            coordinator=COORDINATOR,
            act=CoordinatorAct.extend,
            reason=InterventionReason.agreed_with_organization,
            until=until,
        )
        self.bench.commands.submit_intervention(act, self._now)
        return self.bench.published()[-1], until

    def refuse_extension(self, referral_id: str) -> Event[Fact]:
        """Submit an extension, end the referral before routing reads it, and return it."""
        submission, _ = self.extension(referral_id)
        self.take(RevocationSubmitted(referral_id=referral_id, organization=SENDER), referral_id)
        (refusal,) = self._taken(submission)
        assert isinstance(refusal, InterventionRefused)
        return submission

    def erase_content(self, referral_id: str) -> None:
        """Erase the referral's content from the log, as audit does."""
        with self.log.database.write() as transaction:
            indices = [
                one.index
                for one in self.log.log.opened_leaves(
                    transaction, referral_id, start=0, stop=10_000, limit=10_000
                )
            ]
            for table in (OPENINGS, FACETS):
                transaction.execute(table.delete().where(table.c.leaf_index.in_(indices)))

    def rewrite(self, change: Any) -> None:
        with self.bench.database.write() as transaction:
            assert transaction.execute(change).rowcount == 1

    def differences(self) -> list[str]:
        """Return what a reconciliation says of routing's referrals."""
        engines = {service: open_read_only(url) for service, url in self.urls.items()}
        try:
            found = [one for state in ServiceStates(engines).referrals("", 500) for one in differences(state)]
        finally:
            for engine in engines.values():
                engine.dispose()
        return [one.what for one in found if one.where == "routing"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RoutedHub]:
    with ExitStack() as closing:
        yield RoutedHub(tmp_path, closing)


def declined(offer: OfferOpened) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.decline,
        reason=DeclineReason.no_capacity,
    )


def progressed(referral_id: str, organization: str) -> ProgressSubmitted:
    return ProgressSubmitted(
        referral_id=referral_id, organization=organization, status=ProgressStatus.in_progress
    )


def story(hub: RoutedHub) -> tuple[str, OfferOpened, OfferOpened]:
    """A referral that one organisation declined and another accepted after an extension."""
    referral_id, first = hub.refer()
    (second,) = opened(hub.take(declined(first), referral_id))
    hub.extend(referral_id)
    hub.take(accepted_by(second).data, referral_id)
    hub.take(progressed(referral_id, first.organization), referral_id)
    hub.take(progressed(referral_id, second.organization), referral_id)
    return referral_id, first, second


def test_routing_that_followed_its_log_has_no_differences(hub: RoutedHub) -> None:
    referral_id, _, second = story(hub)
    assert hub.differences() == []
    handed_back = HandBackSubmitted(
        referral_id=referral_id, organization=second.organization, reason=HandBackReason.no_capacity
    )
    (third,) = opened(hub.take(handed_back, referral_id))
    assert hub.differences() == []
    hub.take(accepted_by(third).data, referral_id)
    # It moves the deadline of the report, and not that of the offer.
    hub.extend(referral_id, days=20)
    hub.take(RevocationSubmitted(referral_id=referral_id, organization=SENDER), referral_id)
    assert hub.differences() == []


def test_erased_content_is_not_a_difference_and_a_deleted_step_still_is(hub: RoutedHub) -> None:
    referral_id, _, _ = story(hub)
    hub.take(RevocationSubmitted(referral_id=referral_id, organization=SENDER), referral_id)
    with hub.bench.database.write() as transaction:
        assert SqlFactReduction().reduce(transaction, LATER, LATER, 10) == 1
    assert hub.differences() == []
    hub.erase_content(referral_id)
    assert hub.differences() == []
    hub.rewrite(TIMELINE.delete().where(TIMELINE.c.fact == "offer.declined"))
    (difference,) = hub.differences()
    assert "the log has offer.declined of" in difference


def test_act_that_routing_refused_is_not_a_difference(hub: RoutedHub) -> None:
    referral_id, _ = hub.refer()
    hub.extend(referral_id)
    refused = hub.refuse_extension(referral_id)
    assert hub.differences() == []
    # An earlier build kept the submission as a step beside its refusal.
    step = entry_of(refused.data, referral_id, refused.time)
    with hub.bench.database.write() as transaction:
        hub.bench.store.save(transaction, Changes(before={}, after=(), timeline=(step,)))
    assert hub.differences() == []
    hub.rewrite(
        update(TIMELINE)
        .where(TIMELINE.c.fact == "intervention.submitted", TIMELINE.c.time == refused.time)
        .values(time=refused.time + HOUR)
    )
    (difference,) = hub.differences()
    assert "the timeline has intervention.submitted of" in difference


@pytest.mark.parametrize("is_erased", [False, True])
def test_deleted_act_is_noticed_beside_a_refused_act(hub: RoutedHub, is_erased: bool) -> None:
    referral_id, _ = hub.refer()
    hub.extend(referral_id)
    hub.refuse_extension(referral_id)
    if is_erased:
        hub.erase_content(referral_id)
    assert hub.differences() == []
    hub.rewrite(TIMELINE.delete().where(TIMELINE.c.fact == "intervention.submitted"))
    (difference,) = hub.differences()
    assert "the log has intervention.submitted of" in difference
    hub.rewrite(TIMELINE.delete().where(TIMELINE.c.fact == "intervention.refused"))
    assert any("the log has intervention.refused of" in difference for difference in hub.differences())


SECOND = OFFERS.c.state == "accepted"
REWRITTEN_OFFERS: dict[str, tuple[dict[str, Any], str]] = {
    "another service": ({"service": "housing"}, "is for the service housing, but its decision asked legal"),
    "a shorter deadline": ({"deadline": NOW + HOUR}, "has deadline 2026-03-02T10:00:00+00:00, in the log"),
    "a longer deadline": ({"deadline": LATER}, "has deadline 2026-03-07T09:00:00+00:00, in the log"),
    "another rank": ({"rank": 7}, "has rank 7, in the log 1"),
    "another time": ({"opened_at": NOW - HOUR}, "has opened_at"),
    "another organisation": ({"organization": "ru.other"}, "has organization ru.other, in the log"),
    "opened again": ({"state": "open", "closed_at": None}, "has state open, in the log accepted"),
    "another id": ({"id": new_id()}, "routing does not have the offer"),
}


@pytest.mark.parametrize(("columns", "noticed"), REWRITTEN_OFFERS.values(), ids=REWRITTEN_OFFERS.keys())
def test_rewritten_offer_is_noticed(hub: RoutedHub, columns: dict[str, Any], noticed: str) -> None:
    story(hub)
    hub.rewrite(update(OFFERS).where(SECOND).values(columns))
    assert any(noticed in difference for difference in hub.differences())


def test_deadline_from_before_an_extension_is_noticed(hub: RoutedHub) -> None:
    referral_id, offer = hub.refer()
    until = hub.extend(referral_id)
    assert hub.differences() == []
    hub.rewrite(update(OFFERS).values(deadline=offer.deadline))
    (difference,) = hub.differences()
    assert f"in the log {until.isoformat()}" in difference


DECLINED = TIMELINE.c.fact == "offer.declined"
REWRITTEN_STEPS: dict[str, tuple[Any, str]] = {
    "a deleted fact": (TIMELINE.delete().where(DECLINED), "the log has offer.declined of"),
    "a deleted act of a coordinator": (
        TIMELINE.delete().where(TIMELINE.c.fact == "intervention.submitted"),
        "the log has intervention.submitted of",
    ),
    "a deleted submission": (
        TIMELINE.delete().where(TIMELINE.c.fact == "referral.submitted"),
        "the log has referral.submitted of",
    ),
    "a deleted refusal": (
        TIMELINE.delete().where(TIMELINE.c.fact == "submission.refused"),
        "the log has submission.refused of",
    ),
    "another reason": (
        update(TIMELINE).where(DECLINED).values(detail={"reason": "language"}),
        "the step offer.declined of",
    ),
    "another organisation": (
        update(TIMELINE).where(DECLINED).values(organization="ru.other"),
        "the timeline has offer.declined of ru.other",
    ),
    "another time": (update(TIMELINE).where(DECLINED).values(time=NOW), "the timeline has offer.declined of"),
    "another fact": (
        update(TIMELINE).where(DECLINED).values(fact="offer.expired"),
        "the timeline has offer.expired of",
    ),
    "a step of another referral": (
        update(TIMELINE).where(DECLINED).values(referral_id=new_id()),
        "the log has offer.declined of",
    ),
}


@pytest.mark.parametrize(("change", "noticed"), REWRITTEN_STEPS.values(), ids=REWRITTEN_STEPS.keys())
def test_rewritten_timeline_is_noticed(hub: RoutedHub, change: Any, noticed: str) -> None:
    story(hub)
    hub.rewrite(change)
    assert any(noticed in difference for difference in hub.differences())


def test_step_added_to_a_timeline_is_noticed(hub: RoutedHub) -> None:
    referral_id, first, _ = story(hub)
    step = {"referral_id": referral_id, "time": NOW, "organization": first.organization, "detail": {}}
    hub.rewrite(TIMELINE.insert().values(step | {"fact": "offer.expired"}))
    (difference,) = hub.differences()
    assert f"the timeline has offer.expired of {first.organization}" in difference


def test_rewritten_outcome_is_noticed(hub: RoutedHub) -> None:
    referral_id, _, second = story(hub)
    hub.rewrite(update(REFERRALS).values(outcome="resolved"))
    assert hub.differences() == ["the outcome is resolved, in the log none"]
    hub.rewrite(update(REFERRALS).values(outcome=None))
    helped = OutcomeSubmitted(
        referral_id=referral_id, organization=second.organization, outcome=Outcome.not_resolved
    )
    hub.take(helped, referral_id)
    assert hub.differences() == []
    for outcome in ("resolved", None):
        hub.rewrite(update(REFERRALS).values(outcome=outcome))
        assert hub.differences() == [f"the outcome is {outcome}, in the log not_resolved"]


def test_step_moved_to_an_unknown_referral_is_noticed_there_too(hub: RoutedHub) -> None:
    referral_id, _, _ = story(hub)
    other, _ = hub.refer()
    hub.rewrite(update(TIMELINE).where(DECLINED).values(referral_id=other))
    assert len(hub.differences()) == 2
    hub.rewrite(REFERRALS.delete().where(REFERRALS.c.id == referral_id))
    assert any("routing has no such referral" in one for one in hub.differences())
