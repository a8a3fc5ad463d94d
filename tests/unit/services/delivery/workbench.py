"""Delivery without a process: its handlers on a real database, its consumers as batch processors."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from contracts.codes import (
    AgeBand,
    DeclineReason,
    Settlement,
    Sex,
    Stage,
    Urgency,
)
from contracts.envelope import Envelope, Event, decode
from contracts.facts import (
    Fact,
    OfferDeclined,
    OfferOpened,
    ReferralUnplaced,
    ReferralWithdrawn,
    SealedCaseReleased,
    SealedNoteReleased,
    SealedReportSubmitted,
)
from contracts.referral import Situation
from contracts.topology import DEAD_LETTERS
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery
from runtime.storage.database import Database
from services.delivery.adapters.alert_counts import SqlAlertCounts
from services.delivery.adapters.closings import SqlClosings
from services.delivery.adapters.consumers import SqlConsumers
from services.delivery.adapters.mailbox_notifier import MailboxNotifier
from services.delivery.adapters.mailboxes import SqlMailboxes
from services.delivery.adapters.released_cases import SqlReleasedCases
from services.delivery.adapters.report_closings import SqlReportClosings
from services.delivery.adapters.tables import MESSAGES, MESSAGING, METADATA
from services.delivery.delivery_records import DeliveryRecords
from services.delivery.domain.selection import WAITING, Selection
from services.delivery.handlers import KEPT, ConsumerHandlers, MailboxHandlers
from services.delivery.incoming import Incoming
from services.delivery.ports import Subscription
from services.delivery.submission_answers import SubmissionAnswers
from services.delivery.triggers import Triggers
from tests.support.events import message_of
from tests.support.first_delivery import first_delivery
from tests.support.hub_keys import verifier
from tests.support.migrated import upgrade
from tests.support.settable_clock import SettableClock
from tests.support.stored_values import stored_values

SENDER = "kg.osh-legal-aid"
ACCEPTOR = "ru.moscow-migrant-support"
STRANGER = "uz.tashkent-union"
REFERRAL = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
OFFER = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c02"
SECOND_OFFER = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c03"
CORRELATION = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a00"
SEALED = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyJ9.a2V5.bm9uY2U.Y2lwaGVydGV4dA.dGFn"
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)

SITUATION = Situation(
    needs=("legal.wage_claim",),
    urgency=Urgency.urgent,
    region="RU-MOW",
    settlement=Settlement.urban,
    languages=("ky",),
    stage=Stage.in_destination,
    origin_country="KG",
    age_band=AgeBand.years_25_59,
    sex=Sex.female,
)


SEALED_FACTS = (SealedCaseReleased, SealedNoteReleased, SealedReportSubmitted)


class ObservedSubscription:
    """A subscription that sets `waited_for` when a caller starts to wait."""

    def __init__(self, subscription: Subscription, waited_for: threading.Event) -> None:
        self._subscription = subscription
        self._waited_for = waited_for

    def clear(self) -> None:
        self._subscription.clear()

    def wait(self, timeout: float) -> bool:
        self._waited_for.set()
        return self._subscription.wait(timeout)


class ObservedNotifier:
    """The real notifier; sets `waited_for` when a caller found no message and starts to wait."""

    def __init__(self, notifier: MailboxNotifier) -> None:
        self._notifier = notifier
        self.waited_for = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._notifier.stopped

    @contextmanager
    def listening(self, *mailboxes: str) -> Iterator[Subscription]:
        with self._notifier.listening(*mailboxes) as subscription:
            yield ObservedSubscription(subscription, self.waited_for)


class Workbench:
    """A delivery service. events, sealed_messages: its consumers; partner: the mailbox use cases.

    consumers: the use cases of named consumers.
    """

    def __init__(self, database_url: str) -> None:
        self.clock = SettableClock(NOW)
        self.database = Database.open(database_url)
        upgrade("services.delivery", self.database)
        self.mailboxes, self.consumers_stored = SqlMailboxes(), SqlConsumers()
        cases, closings, reports = SqlReleasedCases(), SqlClosings(), SqlReportClosings()
        self.notifier = MailboxNotifier(self.database, self.mailboxes)
        observed = ObservedNotifier(self.notifier)
        self.waited_for = observed.waited_for
        self.records = DeliveryRecords(
            source="/kg/delivery",
            outbox=Outbox(MESSAGING.outbox),
            mailboxes=self.mailboxes,
            clock=self.clock,
            new_id=new_id,
        )
        self.barred: set[str] = set()
        self.partner = MailboxHandlers(
            source="/kg/delivery",
            database=self.database,
            mailboxes=self.mailboxes,
            consumers=self.consumers_stored,
            cases=cases,
            closings=closings,
            reports=reports,
            records=self.records,
            notifier=observed,
            clock=self.clock,
            after_commit=lambda: None,
            is_barred=self.barred.__contains__,
            messages_kept=KEPT,
        )
        self.consumers = ConsumerHandlers(
            database=self.database,
            mailboxes=self.mailboxes,
            consumers=self.consumers_stored,
            clock=self.clock,
        )
        incoming = Incoming(
            source="/kg/delivery",
            mailboxes=self.mailboxes,
            cases=cases,
            closings=closings,
            reports=reports,
            alerts=SqlAlertCounts(),
            new_id=new_id,
        )
        self.is_sandbox = True
        self.submission_answers = SubmissionAnswers(
            database=self.database,
            incoming=incoming,
            hub="kg",
            clock=self.clock,
            after_commit=self.notifier.poll,
        )
        self.triggers = Triggers(
            database=self.database,
            incoming=incoming,
            hub="kg",
            clock=self.clock,
            new_id=new_id,
            after_commit=self.notifier.poll,
            is_sandbox=lambda: self.is_sandbox,
        )
        self.events = self._processor("delivery.events", incoming.events, Envelope.decode)
        self.sealed_messages = self._processor("delivery.sealed", incoming.sealed_messages, decode)

    def _processor(self, name: str, handler: Any, decoding: Any) -> BatchProcessor[Any]:
        return BatchProcessor(
            name,
            (name,),
            database=self.database,
            tables=MESSAGING,
            verifier=verifier(),
            decode=decoding,
            handler=handler,
            clock=self.clock,
            metrics=MessagingMetrics(CollectorRegistry()),
            after_commit=self.notifier.poll,
        )

    def receive(self, *messages: Event[Fact]) -> None:
        """Process the messages: one batch of events, one batch of sealed messages."""
        sealed = [m for m in messages if isinstance(m.data, SEALED_FACTS)]
        events = [m for m in messages if m not in sealed]
        for processor, batch in ((self.events, events), (self.sealed_messages, sealed)):
            if batch:
                processor.process([delivery(message) for message in batch])

    def mailbox(
        self,
        organization: str,
        *,
        after: int = 0,
        limit: int = 50,
        wait: float = 0,
        shared: tuple[str, ...] = (),
        selection: Selection = WAITING,
        since: dt.datetime | None = None,
    ) -> list[Any]:
        page = self.partner.page(
            organization,
            after=after,
            limit=limit,
            wait=wait,
            shared=shared,
            selection=selection,
            since=since,
        )
        return [orjson.loads(body) for body in page.bodies]

    def sent(self) -> list[Event[Fact]]:
        """Return the events in the outbox, without dead letters."""
        return [decode(body) for exchange, body in self._outbox() if exchange != DEAD_LETTERS]

    def dead_letters(self) -> int:
        return sum(1 for exchange, _ in self._outbox() if exchange == DEAD_LETTERS)

    def _outbox(self) -> list[tuple[str, bytes]]:
        with self.database.read() as transaction:
            outbox = MESSAGING.outbox
            rows = transaction.execute(select(outbox.c.exchange, outbox.c.body).order_by(outbox.c.number))
            return [(row.exchange, event) for row in rows for event in decode_batch(bytes(row.body))]

    def states(self) -> list[str]:
        with self.database.read() as transaction:
            return list(transaction.execute(select(MESSAGES.c.state).order_by(MESSAGES.c.sequence)).scalars())

    def everything_stored(self) -> str:
        """Return every value of every row of every table."""
        return stored_values(self.database, METADATA)


def event(fact: Fact) -> Event[Fact]:
    key = getattr(fact, "referral_id", REFERRAL)
    return message_of(fact, key, time=NOW, correlation_id=CORRELATION)


def delivery(message: Event[Fact]) -> Delivery:
    return first_delivery(message, "delivery")


def opened(to: str = ACCEPTOR, offer_id: str = OFFER) -> Event[Fact]:
    return event(
        OfferOpened(
            referral_id=REFERRAL,
            offer_id=offer_id,
            organization=to,
            sender=SENDER,
            rank=1,
            opened_at=NOW,
            deadline=NOW + dt.timedelta(hours=4),
            facts=SITUATION,
        )
    )


def unplaced() -> Event[Fact]:
    return event(
        ReferralUnplaced(
            referral_id=REFERRAL,
            sender=SENDER,
            decision_id=new_id(),
            urgency=Urgency.emergency,
            region="RU-MOW",
            needs=("legal.wage_claim",),
            reason="no_candidate",
        )
    )


def declined() -> Event[Fact]:
    return event(
        OfferDeclined(
            referral_id=REFERRAL,
            offer_id=OFFER,
            organization=ACCEPTOR,
            sender=SENDER,
            reason=DeclineReason.no_capacity,
        )
    )


def withdrawn() -> Event[Fact]:
    return event(
        ReferralWithdrawn(
            referral_id=REFERRAL, sender=SENDER, organization=ACCEPTOR, reason="consent_revoked"
        )
    )


def released_case(to: str = ACCEPTOR, case: str = SEALED, offer_id: str | None = OFFER) -> Event[Fact]:
    released = SealedCaseReleased(
        referral_id=REFERRAL, organization=to, kid="kid-1", case=case, offer_id=offer_id
    )
    return event(released)


def released_note(
    to: str = SENDER, note: str = SEALED, offer_id: str | None = None, acceptance: str | None = None
) -> Event[Fact]:
    note_released = SealedNoteReleased(
        referral_id=REFERRAL,
        organization=to,
        author=ACCEPTOR,
        note=note,
        offer_id=offer_id,
        acceptance=acceptance,
    )
    return event(note_released)
