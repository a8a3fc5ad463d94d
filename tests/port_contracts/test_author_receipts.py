"""Receipts to the authors of events, from the relay to the log and back, on every broker and database.

The author is audit itself, so that one database holds the log and the copies.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope, Event
from contracts.facts import HistoryRead
from contracts.topology import EVENTS, LOG, LOG_QUEUE, RECEIPT_QUEUES, RECEIPTS, Topology, hub_topology
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.inbox import NoDeduplication
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.outbox.receipt_watch import ReceiptWatch
from runtime.messaging.outbox.relay import Relay
from runtime.messaging.ports import Broker
from runtime.messaging.stalled_loops import StalledLoops
from runtime.settings import RECEIPT_TIME
from runtime.storage.database import Database
from services.audit.adapters.tables import MESSAGING
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.handlers.author_receipts import AuthorReceipts
from tests.messaging.consumer_harness import START, HandClock
from tests.support.hub_keys import signer, verifier
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import LogOnDatabase, new_key

QUEUES = (LOG_QUEUE, RECEIPT_QUEUES["audit"])


def _part() -> Topology:
    """Return the part of the hub's topology that leads to these queues."""
    whole = hub_topology()
    exchanges = {f"{EVENTS}.audit", RECEIPTS, LOG}
    return Topology(
        exchanges=tuple(one for one in whole.exchanges if one.name in exchanges),
        queues=tuple(one for one in whole.queues if one.name in QUEUES),
        bindings=tuple(
            one for one in whole.bindings if one.source in exchanges and one.destination in QUEUES
        ),
    )


class Circle:
    """Relay, log and receipts of audit on one broker and one database."""

    def __init__(self, broker: Broker, database: Database) -> None:
        broker.declare(_part())
        self._broker = broker
        self._database = database
        self._outbox = Outbox(MESSAGING.outbox)
        self._metrics = MessagingMetrics(CollectorRegistry())
        self.clock = HandClock()
        self.audit = LogOnDatabase(database=database, key=new_key())
        self.audit.check()
        self.watch = ReceiptWatch(
            service="audit",
            database=database,
            outbox=self._outbox,
            clock=self.clock,
            metrics=self._metrics,
            receipt_time=RECEIPT_TIME,
            wake=lambda: None,
        )
        self.relay = Relay(
            database=database,
            outbox=self._outbox,
            broker=broker,
            signer=signer("audit"),
            metrics=self._metrics,
            stalled_loops=StalledLoops(),
            on_confirmed=self.watch.confirmed,
        )
        self._processors = {
            LOG_QUEUE: self._processor(LOG_QUEUE, self.audit.sequencer.append),
            RECEIPT_QUEUES["audit"]: self._processor(RECEIPT_QUEUES["audit"], self.watch.receipts),
        }
        self.author_receipts = AuthorReceipts(
            database=database,
            due=SqlDueReceipts(),
            published=self.audit.published,
            works=lambda: True,
            outbox=self._outbox,
            source="/kg/audit",
            clock=self.clock,
            after_commit=lambda: None,
        )

    def _processor(self, queue: str, handler: Any) -> BatchProcessor[Envelope]:
        return BatchProcessor(
            queue,
            (queue,),
            database=self._database,
            tables=MESSAGING,
            verifier=verifier(),
            decode=Envelope.decode,
            handler=handler,
            clock=self.clock,
            metrics=self._metrics,
            after_commit=lambda: None,
            deduplicator=NoDeduplication(),
        )

    def say(self, count: int = 1) -> list[str]:
        """Publish this number of events; return their ids."""
        events = [_event() for _ in range(count)]
        with self._database.write() as transaction:
            self._outbox.add(transaction, [outgoing(event) for event in events])
        self.relay.publish_wave()
        return [event.id for event in events]

    def drop(self, queue: str) -> int:
        """Take everything out of a queue, as a thief does; return how many events it was."""
        return self._take(queue, process=False)

    def read(self, queue: str) -> int:
        """Process everything in a queue; return how many events it was."""
        return self._take(queue, process=True)

    def publish_log(self) -> None:
        self.audit.publisher.turn()

    def send_receipts(self) -> int:
        """Send what is due; return how many messages."""
        self.author_receipts.turn()
        return self.relay.publish_wave()

    def unreceipted(self) -> int:
        with self._database.read() as transaction:
            return len(transaction.execute(MESSAGING.unreceipted.select()).all())

    def _take(self, queue: str, *, process: bool) -> int:
        found = 0
        with closing(self._broker.consumer([queue], 100)) as consumer:
            while deliveries := consumer.take(100, 2 if not found else 0.3):
                if process:
                    self._processors[queue].process(deliveries)
                consumer.acknowledge(deliveries)
                found += len(deliveries)
        return found


def _event() -> Event[HistoryRead]:
    number = new_id()
    return Event(
        id=number,
        source="/kg/audit",
        time=START,
        partition_key=number,
        correlation_id=number,
        causation_id=None,
        data=HistoryRead(reader="kg.auditor", filter={}, entries=1),
    )


@pytest.fixture
def circle(any_broker: Broker, database_url: str) -> Iterator[Circle]:
    database = Database.open(database_url)
    upgrade("services.audit", database)
    yield Circle(any_broker, database)
    database.close()


def test_receipt_follows_the_published_checkpoint_and_ends_the_copy(circle: Circle) -> None:
    ids = circle.say(3)
    assert circle.unreceipted() == 1  # one batch
    circle.read(LOG_QUEUE)
    assert circle.send_receipts() == 0  # appended, but not published
    circle.publish_log()
    assert circle.send_receipts() == 1
    circle.read(RECEIPT_QUEUES["audit"])
    assert circle.unreceipted() == 0
    assert circle.audit.message_ids() == ids
    # A receipt is not an entry and gets no receipt.
    assert circle.drop(LOG_QUEUE) == 0
    assert circle.send_receipts() == 0


def test_event_taken_from_the_logs_queue_is_logged_after_the_receipt_time(circle: Circle) -> None:
    ids = circle.say(2)
    assert circle.drop(LOG_QUEUE) == 2
    later = circle.say(1)
    circle.read(LOG_QUEUE)
    circle.publish_log()
    circle.send_receipts()
    circle.read(RECEIPT_QUEUES["audit"])
    assert (circle.audit.message_ids(), circle.unreceipted()) == (later, 1)
    circle.clock.time += RECEIPT_TIME - dt.timedelta(seconds=1)
    circle.watch.look()
    assert circle.watch.alarm() is None
    circle.clock.advance(seconds=2)
    circle.watch.look()
    assert circle.watch.alarm() is not None
    circle.relay.publish_wave()
    circle.read(LOG_QUEUE)
    circle.publish_log()
    circle.send_receipts()
    circle.read(RECEIPT_QUEUES["audit"])
    assert circle.audit.message_ids() == [*later, *ids]
    assert circle.unreceipted() == 0


def test_lost_receipt_is_sent_again_and_nothing_is_logged_twice(circle: Circle) -> None:
    ids = circle.say(2)
    circle.read(LOG_QUEUE)
    circle.publish_log()
    circle.send_receipts()
    assert circle.drop(RECEIPT_QUEUES["audit"]) == 1
    circle.clock.time += RECEIPT_TIME
    circle.watch.look()
    circle.relay.publish_wave()
    assert circle.read(LOG_QUEUE) == 2
    circle.publish_log()
    circle.send_receipts()
    assert circle.read(RECEIPT_QUEUES["audit"]) == 1
    assert (circle.audit.message_ids(), circle.unreceipted()) == (ids, 0)
