"""The parts that every service's bootstrap creates: database, broker, messenger, metrics."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from contracts.topology import hub_topology
from runtime.access.read_recorder import ReadRecorder
from runtime.application import ReadinessCheck
from runtime.background import Background
from runtime.clock import Clock, SystemClock
from runtime.messaging.authors import authors_in
from runtime.messaging.messenger import Messenger
from runtime.messaging.ports import Broker
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.signatures.identity import load_identity
from runtime.messaging.signatures.reloaded_identity import IdentityFiles, ReloadedIdentity
from runtime.messaging.tables import MessagingTables
from runtime.periodic import Periodic
from runtime.settings import Settings, SettingsError
from runtime.storage.database import Database
from runtime.telemetry.metrics import build_info, process_registry
from runtime.telemetry.otlp import otlp_exporter
from runtime.telemetry.span_export import SpanExport, span_counter

_FORGETTING_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """The parts that are the same in every service. Nothing is connected yet."""

    settings: Settings
    clock: Clock
    registry: CollectorRegistry
    database: Database
    broker: Broker
    messenger: Messenger
    spans: SpanExport | None  # None: tracing is off

    @property
    def source(self) -> str:
        """Return the CloudEvents source of the service's events."""
        return self.messenger.source

    def read_recorder(self) -> ReadRecorder:
        """Return the recorder of reads of a service that shows staff facts of persons."""
        return ReadRecorder(
            database=self.database,
            outbox=self.messenger.outbox,
            source=self.source,
            clock=self.clock,
            after_commit=self.messenger.wake,
        )

    def warnings(self) -> list[ReadinessCheck]:
        """Return the `/readyz` warnings of every service."""
        return [
            ("topology", self.messenger.topology_alarm),
            ("messages", self.messenger.stalled_loops.alarm),
            ("replica", self.messenger.replica_alarm),
            ("parked", self.messenger.dead_letter_counts.alarm),
            ("receipts", self.messenger.unreceipted.alarm),
            ("database", self.database.alarm),
            ("clocks", self.messenger.clocks.alarm),
        ]

    def background(self) -> list[Background]:
        """Return the background work of every service.

        The messenger; the export of spans, when tracing is on; and the WAL checkpoint, which soon removes
        deleted content from every file of the service.
        """
        forgetting = Periodic("old pages", self.database.checkpoint_wal, seconds=_FORGETTING_SECONDS)
        return [*([] if self.spans is None else [self.spans]), self.messenger, forgetting]


def build_platform(name: str, settings: Settings, tables: MessagingTables) -> Platform:
    """Build the platform of the service `name`, whose schema has the messaging `tables`.

    Raises SettingsError when the service's key, its broker user, the manifest and the hub's key do not fit
    together, or when tracing is on without its library.
    """
    clock = SystemClock()
    registry = process_registry()
    build_info(registry, name)
    database = Database.open(settings.database_url, tls=settings.database_tls)
    broker = RabbitBroker(
        settings.amqp_uri,
        service=name,
        management_uri=settings.broker_management_uri,
        tls=settings.broker_tls,
    )
    identity = load_identity(settings, name)
    listed = identity.manifest.services[name].user
    if broker.user != listed:
        raise SettingsError(
            [f"KOPURO_AMQP_URI names the broker user {broker.user}; the manifest lists {listed} for {name}"]
        )
    counter = span_counter(registry)
    spans = None
    if settings.traces_endpoint is not None:
        exporter = otlp_exporter(settings.traces_endpoint, name)
        spans = SpanExport(exporter, counter, ratio=settings.traces_ratio)
    messenger = Messenger(
        identity=ReloadedIdentity(identity, IdentityFiles(settings, name)),
        database=database,
        tables=tables,
        broker=broker,
        topology=hub_topology(),
        clock=clock,
        registry=registry,
        authors=authors_in(identity.manifest),
        receipt_time=settings.receipt_time,
        spans=spans,
    )
    return Platform(
        settings=settings,
        clock=clock,
        registry=registry,
        database=database,
        broker=broker,
        messenger=messenger,
        spans=spans,
    )
