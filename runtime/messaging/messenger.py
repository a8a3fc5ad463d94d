"""A service's messaging: outbox and relay, consumers with their retries, replicas."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, Table

from contracts.envelope import Envelope
from contracts.topology import Topology, dead_letter_queue_name
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.messaging.authors import Authors
from runtime.messaging.batches import BatchHandler, BatchProcessor, Identified
from runtime.messaging.clocks import Clocks
from runtime.messaging.dead_letter_counts import DeadLetterCounts
from runtime.messaging.inbox import KEPT, Deduplicator, Inbox, NoDeduplication
from runtime.messaging.message_spans import MessageSpans
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.outbox_age import OutboxAge
from runtime.messaging.outbox.receipt_watch import ReceiptWatch
from runtime.messaging.outbox.relay import Relay
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Broker
from runtime.messaging.replica import Replica, ReplicaHistory, ReplicaRecord
from runtime.messaging.replica_view import ReplicaView
from runtime.messaging.request_reply import RequestClient, RequestServer
from runtime.messaging.retries import are_waiting, consumers_due
from runtime.messaging.row_code import ROW_CODES
from runtime.messaging.signatures.reloaded_identity import ReloadedIdentity
from runtime.messaging.signatures.requests import Peers
from runtime.messaging.stalled_loops import StalledLoops
from runtime.messaging.tables import MessagingTables
from runtime.messaging.topology_watch import TopologyWatch
from runtime.settings import RECEIPT_TIME
from runtime.storage.change_poll import ChangePoll
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.pruning import prune
from runtime.telemetry.spans import Spans

_log = logging.getLogger(__name__)

M = TypeVar("M", bound=Identified)

TICK_SECONDS = 1.0
DEAD_LETTER_SECONDS = 2.0  # between two counts of the dead letters
WAIT_SECONDS = 1.0  # between two attempts to find every queue
TICKS_BETWEEN_CLEANING = 600
BETWEEN_REQUESTS = dt.timedelta(minutes=5)  # between two requests for a snapshot that is not complete


class Messenger:
    """The messaging of one service, started and stopped with the process (`application.Background`)."""

    def __init__(
        self,
        *,
        identity: ReloadedIdentity,
        database: Database,
        tables: MessagingTables,
        broker: Broker,
        topology: Topology,
        clock: Clock,
        registry: CollectorRegistry,
        authors: Authors,
        receipt_time: dt.timedelta = RECEIPT_TIME,
        spans: Spans | None = None,
    ) -> None:
        """identity: the hub, this service's name in it and its signing key.

        authors: decides which messages come from an owner of their fact; the others are dead-lettered.
        receipt_time: how long audit's receipt for an event may take.
        spans: receives the spans of messages; None when tracing is off.
        """
        service, self.source = identity.present.service, identity.present.source
        self._service = service
        self._spans = MessageSpans(self.source, spans)
        self._identity = identity
        self._signer = WaveSigner(identity.key)
        self.broker = broker
        self.outbox = Outbox(tables.outbox)
        self._database = database
        self._tables = tables
        self._topology = topology
        self._clock = clock
        self._metrics = MessagingMetrics(registry)
        self._inbox = Inbox(tables.inbox)
        self._outbox_age = OutboxAge(self.outbox, clock)
        self.stalled_loops = StalledLoops()
        self._metrics.paused_seconds.set_function(self.stalled_loops.longest)
        reader = broker.queue_reader()  # the loop that watches the broker shares it with the counts
        self.dead_letter_counts = DeadLetterCounts(reader, self._metrics.dead_letters)
        self._watch = TopologyWatch(
            reader,
            topology,
            lacking=self._metrics.lacking,
            strays=self._metrics.strays,
            stalled_loops=self.stalled_loops,
        )
        self._requested_under: object | None = None
        self._request_again_at = clock.now() + BETWEEN_REQUESTS
        self._authors = authors
        self.clocks = Clocks()
        self._metrics.clock_ahead_seconds.set_function(self.clocks.furthest)
        self.unreceipted = ReceiptWatch(
            service=service,
            database=database,
            outbox=self.outbox,
            clock=clock,
            metrics=self._metrics,
            receipt_time=receipt_time,
            wake=self.wake,
        )
        self.relay = Relay(
            database=database,
            outbox=self.outbox,
            broker=broker,
            signer=self._signer,
            metrics=self._metrics,
            stalled_loops=self.stalled_loops,
            obstacle=self._watch.obstacle,
            on_unroutable=self._watch.look_again,
            on_confirmed=self.unreceipted.confirmed,
            spans=self._spans,
            clock=clock,
        )
        self._processors: list[BatchProcessor[Any]] = []
        self._replicas: list[tuple[Replica, ReplicaView]] = []
        # Deleting a copy twice does no harm, and one that is back after a loss of power is offered again.
        self.receipts = self.consumer(
            f"{service}.receipts",
            self.unreceipted.receipts,
            Envelope.decode,
            deduplicator=NoDeduplication(),
            durable=False,
        )
        # Messages in the outbox at the last tick.
        self.backlog = 0
        self._poll = ChangePoll(database, self._look)
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Wake the relay. Call it after a commit that may have written to the outbox."""
        self.relay.wake()

    def consumer(
        self,
        name: str,
        handler: BatchHandler[M],
        decode: Callable[[bytes], M],
        *,
        queues: Sequence[str] | None = None,
        after_commit: Callable[[], None] | None = None,
        deduplicator: Deduplicator | None = None,
        keep_proof: Callable[[M, str], M] | None = None,
        durable: bool = True,
    ) -> BatchProcessor[M]:
        """Return the processor for a `@batches` method. queues: default, the queue named as the consumer.

        The other arguments: see `BatchProcessor`.
        """

        def committed() -> None:
            self.relay.wake()
            if after_commit is not None:
                after_commit()

        processor = BatchProcessor(
            name,
            queues or (name,),
            database=self._database,
            tables=self._tables,
            verifier=self._identity.verifier,
            decode=decode,
            handler=handler,
            clock=self._clock,
            metrics=self._metrics,
            after_commit=committed,
            deduplicator=deduplicator,
            keep_proof=keep_proof,
            clocks=self.clocks,
            fault=self._authors.fault,
            durable=durable,
            spans=self._spans,
        )
        self._processors.append(processor)
        return processor

    def replica(
        self,
        table: Table,
        queue: str,
        absorb: Callable[[Sequence[ReplicaRecord]], None],
        *,
        history: ReplicaHistory | None = None,
    ) -> tuple[BatchProcessor[Envelope], Callable[[], str | None]]:
        """Return the processor and the readiness check of a replica that `queue` feeds."""
        kinds = [binding.key for binding in self._topology.bindings if binding.destination == queue]
        replica = Replica(
            table,
            queue=queue,
            source=self.source,
            secret=lambda: self._identity.key.derived(ROW_CODES),
            kinds=kinds,
            history=history,
        )
        view = ReplicaView(self._database, replica, absorb, self.outbox)
        processor = self.consumer(
            queue, replica.apply, Envelope.decode, after_commit=lambda: view.refresh(self._clock.now())
        )
        self._replicas.append((replica, view))
        return processor, lambda: replica.unready(self._database) or view.unready()

    def request_client(self, service: str) -> RequestClient:
        """Return the client for requests to a service. It is background work of its own."""
        return RequestClient(
            self.broker,
            self._service,
            peers=self._peers((service,)),
            clock=self._clock,
            refused=self._metrics.add_peer(f"{self._service}.replies"),
        )

    def request_server(
        self, queue: str, requesters: Collection[str], handle: Callable[[Mapping[str, Any]], Any]
    ) -> RequestServer:
        """Return the processor for the `@batches` method of a queue of requests by these services."""
        return RequestServer(
            self.broker,
            handle,
            peers=self._peers(requesters),
            clock=self._clock,
            refused=self._metrics.add_peer(queue),
            too_large=self._metrics.replies_too_large.inc,
        )

    def _peers(self, services: Collection[str]) -> Peers:
        return Peers(
            sign=self._signer.sign,
            author_of=self._identity.verifier.author_of,
            services=frozenset(services),
            users=self._authors.users_of(services),
        )

    def start(self, spawn: Spawn) -> None:
        """Start the timers, and the relay as soon as the broker has every exchange and queue.

        Raises SettingsError for a manifest that is older than the newest one this service has used.
        """
        self._identity.remember(self._database, self._tables.manifests)
        self._request_snapshots()
        for _, view in self._replicas:
            view.refresh(self._clock.now())
        spawn(self._relay_when_possible)
        spawn(self._keep_time)
        spawn(self._watch_broker)

    def stop(self) -> None:
        """Stop the relay after its current wave."""
        self._stopping.set()
        self.relay.stop()

    def unready(self) -> str | None:
        """Return None once the broker had every exchange and queue, else the reason (a readiness check)."""
        return self._watch.unready()

    def topology_alarm(self) -> str | None:
        """Return the `/readyz` warning: what the broker has lost, or has too much.

        Nothing is published while something is lost.
        """
        return self._watch.obstacle() or self._watch.surplus()

    def replica_alarm(self) -> str | None:
        """Return the `/readyz` warning about rows of a replica that somebody else has written."""
        return next((alarm for _, view in self._replicas if (alarm := view.alarm()) is not None), None)

    def await_writer(self) -> None:
        """Wait until no transaction of this process writes (`Database.await_writer`)."""
        self._database.await_writer()

    def await_queues(self, seconds: float) -> bool:
        """Wait up to `seconds` until every queue exists; return whether they all do."""
        return self._watch.await_complete(seconds)

    def _relay_when_possible(self) -> None:
        while not self._stopping.is_set():
            if self.await_queues(WAIT_SECONDS):
                self.relay.run()
                return

    def _keep_time(self) -> None:
        ticks = 0
        is_clean = True
        while not self._stopping.wait(TICK_SECONDS):
            try:
                self.tick()
                if ticks % TICKS_BETWEEN_CLEANING == 0 or not is_clean:
                    is_clean = prune(self._database, self._forget)
            except DatabaseUnavailable as error:
                _log.warning("periodic task failed; will retry", extra={"reason": str(error)})
            ticks += 1

    def _watch_broker(self) -> None:
        queues = {queue.name for queue in self._topology.queues}
        consumers = [
            one.consumer for one in self._processors if dead_letter_queue_name(one.consumer) in queues
        ]
        while not self._stopping.is_set():
            self._watch.look()
            if self._watch.is_complete and not self.dead_letter_counts.refresh(consumers):
                self._watch.look_again()
            self._stopping.wait(DEAD_LETTER_SECONDS if self._watch.is_complete else WAIT_SECONDS)
        self.dead_letter_counts.close()

    def _forget(self, transaction: Connection, limit: int) -> int:
        return self._inbox.forget_before(transaction, self._clock.now() - KEPT, limit)

    def _request_snapshots(self) -> None:
        """Request what replicas lack. The codes of their rows hold under one key only."""
        key = self._identity.key
        for replica, _ in self._replicas:
            replica.ensure_requested(self._database, self.outbox, self._clock.now())
        # After the requests: if one fails, all are made again.
        self._requested_under = key
        self._request_again_at = self._clock.now() + BETWEEN_REQUESTS

    def _request_lacking(self) -> None:
        """Request the snapshots again that have not come, or lacked records, such as dead-lettered ones."""
        for replica, _ in self._replicas:
            if replica.unready(self._database) is not None:
                replica.ensure_requested(self._database, self.outbox, self._clock.now())
        self._request_again_at = self._clock.now() + BETWEEN_REQUESTS

    def tick(self) -> None:
        """Do what is due once a second: changed keys, retries, replicas, metrics.

        All but the keys change only with a commit, and with time while something waits.
        """
        self._identity.look(self._database, self._tables.manifests)
        self._signer.use(self._identity.key)
        if self._requested_under is not self._identity.key or self._clock.now() >= self._request_again_at:
            self._poll.wake()
        self._poll()

    def _look(self) -> bool:
        """Do what is due; return whether something may become due without a commit."""
        key = self._identity.key
        with self._database.read() as transaction:
            names = [processor.consumer for processor in self._processors]
            due = consumers_due(transaction, names, self._clock.now())
        for processor in self._processors:
            if processor.consumer in due:
                processor.retry_due()
        if self._requested_under is not key:
            self._request_snapshots()
        elif self._clock.now() >= self._request_again_at:
            self._request_lacking()
        for _, view in self._replicas:
            view.check(self._clock.now())
        self._metrics.replica_refused.set(sum(view.refused for _, view in self._replicas))
        self._metrics.replica_tampered.set(sum(view.tampered for _, view in self._replicas))
        with self._database.read() as transaction:
            self.backlog = self.outbox.depth(transaction)
            age = self._outbox_age.look(transaction)
            are_retried = are_waiting(transaction)
        self._metrics.outbox_depth.set(self.backlog)
        self._metrics.outbox_oldest_seconds.set(age)
        self.unreceipted.look()
        return (
            are_retried
            or self.backlog > 0
            or self.unreceipted.is_waiting
            or not all(view.is_compared() for _, view in self._replicas)
        )
