"""Composition of the delivery process; the only place that chooses adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.envelope import Envelope, Event, decode
from contracts.errors import Refused
from contracts.facts import Fact
from runtime.access.access_records import AccessRecords
from runtime.access.daily_reads import DailyReads
from runtime.access.read_recorder import ReadRecorder
from runtime.application import Application
from runtime.background import Background
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.replica import ReplicaRecord
from runtime.periodic import Periodic
from runtime.service_platform import build_platform
from runtime.settings import Settings
from runtime.storage.change_poll import ChangePoll
from runtime.web.discovery import names_sandbox
from services.delivery.adapters.alert_counts import SqlAlertCounts
from services.delivery.adapters.closings import SqlClosings
from services.delivery.adapters.consumers import SqlConsumers
from services.delivery.adapters.mailbox_notifier import MailboxNotifier
from services.delivery.adapters.mailboxes import SqlMailboxes
from services.delivery.adapters.released_cases import SqlReleasedCases
from services.delivery.adapters.report_closings import SqlReportClosings
from services.delivery.adapters.standings import StandingsInMemory
from services.delivery.adapters.tables import MESSAGING, REPLICA
from services.delivery.adapters.traced_messages import SqlTracedMessages
from services.delivery.delivery_records import DeliveryRecords
from services.delivery.handlers import ConsumerHandlers, MailboxHandlers
from services.delivery.incoming import Incoming
from services.delivery.message_tracing import MessageTracing
from services.delivery.submission_answers import SubmissionAnswers
from services.delivery.triggers import Triggers
from services.delivery.webhooks.adapters.assembly import Webhooks, build_webhooks
from services.delivery.webhooks.owners import EndpointOwners

# Commits of this process wake the notifier; polling covers commits of other processes.
_SECONDS_BETWEEN_POLLS = 1.0
# Each run deletes a bounded number of rows; this pace keeps up with a busy hub.
_SECONDS_BETWEEN_CLEANINGS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryParts:
    """The objects that the service's entrypoints call."""

    mailbox: MailboxHandlers
    consumers: ConsumerHandlers
    triggers: Triggers
    submission_answers: SubmissionAnswers
    tracing: MessageTracing
    reads: ReadRecorder
    fetches: DailyReads
    owners: EndpointOwners | None
    events: BatchProcessor[Envelope]
    sealed_messages: BatchProcessor[Event[Fact]]
    directory: BatchProcessor[Envelope]

    @property
    def webhooks(self) -> EndpointOwners:
        """Return the use cases of webhooks. Raises Refused `forbidden` if the hub sends none."""
        if self.owners is None:
            raise Refused("forbidden", "This hub sends no webhooks.")
        return self.owners


def build(settings: Settings) -> Application[DeliveryParts]:
    """Build the delivery process."""
    platform = build_platform("delivery", settings, MESSAGING)
    database, messenger = platform.database, platform.messenger
    mailboxes, cases, closings = SqlMailboxes(), SqlReleasedCases(), SqlClosings()
    reports = SqlReportClosings()
    consumers = SqlConsumers()
    notifier = MailboxNotifier(database, mailboxes)
    access, standings = AccessRecords(narrowed=notifier.wake), StandingsInMemory()

    def absorb(changes: Sequence[ReplicaRecord]) -> None:
        standings.absorb(changes)
        access.absorb(changes)

    polling = Periodic(
        "mailbox notifier", ChangePoll(database, notifier.poll), seconds=_SECONDS_BETWEEN_POLLS
    )
    records = DeliveryRecords(
        source=platform.source,
        outbox=messenger.outbox,
        mailboxes=mailboxes,
        clock=platform.clock,
        new_id=new_id,
    )
    mailbox = MailboxHandlers(
        source=platform.source,
        database=database,
        mailboxes=mailboxes,
        consumers=consumers,
        cases=cases,
        closings=closings,
        reports=reports,
        records=records,
        notifier=notifier,
        clock=platform.clock,
        after_commit=messenger.wake,
        is_barred=standings.is_barred,
        messages_kept=settings.messages_kept,
    )
    webhooks = build_webhooks(platform, is_excluded=access.is_excluded)

    def arrived() -> None:
        polling.wake()
        if webhooks is not None:
            webhooks.dispatcher.wake()

    cleaning = Periodic(
        "mailbox cleaning", ChangePoll(database, mailbox.clean), seconds=_SECONDS_BETWEEN_CLEANINGS
    )
    reads = platform.read_recorder()
    incoming = Incoming(
        source=platform.source,
        mailboxes=mailboxes,
        cases=cases,
        closings=closings,
        reports=reports,
        alerts=SqlAlertCounts(),
        new_id=new_id,
    )
    directory, unready = messenger.replica(REPLICA, "delivery.directory", absorb)
    return Application(
        name="delivery",
        settings=settings,
        database=database,
        handlers=DeliveryParts(
            mailbox=mailbox,
            consumers=ConsumerHandlers(
                database=database, mailboxes=mailboxes, consumers=consumers, clock=platform.clock
            ),
            triggers=Triggers(
                database=database,
                incoming=incoming,
                hub=settings.hub,
                clock=platform.clock,
                new_id=new_id,
                after_commit=polling.wake,
                is_sandbox=lambda: settings.sandbox and names_sandbox(settings.discovery),
            ),
            submission_answers=SubmissionAnswers(
                database=database,
                incoming=incoming,
                hub=settings.hub,
                clock=platform.clock,
                after_commit=polling.wake,
            ),
            tracing=MessageTracing(database=database, messages=SqlTracedMessages()),
            reads=reads,
            fetches=DailyReads(lambda: platform.clock.now().date()),
            owners=None if webhooks is None else webhooks.owners,
            events=messenger.consumer(
                "delivery.events", incoming.events, Envelope.decode, after_commit=arrived
            ),
            sealed_messages=messenger.consumer(
                "delivery.sealed", incoming.sealed_messages, decode, after_commit=arrived
            ),
            directory=directory,
        ),
        verifier=access.verifier(settings.hub, platform.clock, issuer=settings.issuer),
        is_excluded=access.is_excluded,
        messenger=messenger,
        reads=reads,
        readiness=[("broker", messenger.unready), ("directory", unready)],
        warnings=platform.warnings(),
        background=[
            *platform.background(),
            polling,
            cleaning,
            *_background(webhooks),
        ],
        releases=[notifier.stop],
        spans=platform.spans,
        registry=platform.registry,
        clock=platform.clock,
    )


def _background(webhooks: Webhooks | None) -> list[Background]:
    return [] if webhooks is None else [webhooks.dispatcher, webhooks.cleaning]
