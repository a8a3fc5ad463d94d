"""The messenger's work of every second, and when it may be left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, delete, update

from contracts.topology import Topology
from runtime.messaging.authors import authors_in
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.messenger import BETWEEN_REQUESTS, Messenger
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.replica_comparison import COMPARED
from runtime.messaging.retries import Retries
from runtime.messaging.signatures.reloaded_identity import ReloadedIdentity
from runtime.storage.database import Database
from tests.messaging.consumer_harness import METADATA, REPLICA, TABLES, HandClock, fill_outbox, opened
from tests.messaging.test_replica import QUEUE, changed, completed, feed
from tests.support.hub_keys import identity


class Ticking:
    """A messenger with a replica. looks: how many ticks have looked at the database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = HandClock()
        self.messenger = Messenger(
            identity=ReloadedIdentity(identity("intake")),
            database=database,
            tables=TABLES,
            broker=MemoryBroker(),
            topology=Topology(exchanges=(), queues=(), bindings=()),
            clock=self.clock,
            registry=CollectorRegistry(),
            authors=authors_in(identity("intake").manifest),
        )
        self.processor, self.unready = self.messenger.replica(REPLICA, QUEUE, lambda records: None)
        self.looks = 0
        outbox = self.messenger.outbox
        self._depth = outbox.depth
        outbox.depth = self._counted_depth  # type: ignore[method-assign]

    def _counted_depth(self, transaction: Connection) -> int:
        self.looks += 1
        return self._depth(transaction)

    def ticks(self, number: int) -> int:
        """Return how many of this number of ticks have looked."""
        before = self.looks
        for _ in range(number):
            self.messenger.tick()
        return self.looks - before

    def settle(self) -> None:
        """Publish what waits, and take ticks until none looks."""
        self.ticks(1)
        with self.database.write() as transaction:
            transaction.execute(delete(TABLES.outbox))
        self.ticks(10)
        assert self.ticks(2) == 0


@pytest.fixture
def ticking(sqlite_database: str) -> Iterator[Ticking]:
    with opened(sqlite_database) as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        yield Ticking(database)


def test_ticks_look_at_the_database_after_a_commit_only(ticking: Ticking) -> None:
    feed(ticking.processor, changed("a", 1), completed())
    ticking.settle()
    with ticking.database.write() as transaction:
        transaction.execute(update(TABLES.outbox).values(exchange="x"))
    assert ticking.ticks(5) == 0, "nothing was changed"
    feed(ticking.processor, changed("a", 2))
    assert 1 <= ticking.ticks(10) <= 3


def test_ticks_continue_while_a_message_waits_to_be_published(ticking: Ticking) -> None:
    ticking.settle()
    fill_outbox(ticking.database, ["m"])
    assert ticking.ticks(10) == 10, "its age grows"
    ticking.settle()


def test_ticks_continue_while_a_message_waits_for_its_next_attempt(ticking: Ticking) -> None:
    ticking.settle()
    waiting = Delivery(
        tag=0, queue=QUEUE, routing_key="k", message_id="m", body=b"", headers={}, redelivered=False
    )
    retries = Retries(TABLES.retries, "another")
    now = ticking.clock.now()
    with ticking.database.write() as transaction:
        retries.postpone(transaction, waiting, attempts=1, reason="", now=now)
    assert ticking.ticks(10) == 10
    with ticking.database.write() as transaction:
        retries.settle(transaction, "m")
    ticking.settle()


def test_ticks_continue_while_an_event_has_no_receipt(ticking: Ticking) -> None:
    ticking.settle()
    published = event_in_the_outbox(ticking)
    with ticking.database.write() as transaction:
        ticking.messenger.unreceipted.confirmed(transaction, published)
    assert ticking.ticks(10) == 10
    with ticking.database.write() as transaction:
        transaction.execute(delete(TABLES.unreceipted))
    ticking.settle()


def event_in_the_outbox(ticking: Ticking) -> Sequence[Outgoing]:
    """Return signed messages as the relay publishes them."""
    ticking.messenger.replica(REPLICA, "another.directory", lambda records: None)
    with ticking.database.write() as transaction:
        ticking.messenger._replicas[-1][0].request(transaction, ticking.messenger.outbox, ticking.clock.now())
    with ticking.database.read() as transaction:
        waiting = ticking.messenger.outbox.oldest(transaction, 10)
    with ticking.database.write() as transaction:
        transaction.execute(delete(TABLES.outbox))
    return ticking.messenger._signer.sign([message for _, message in waiting])


def test_ticks_continue_until_every_row_was_compared_since_the_last_commit(ticking: Ticking) -> None:
    records = 3 * COMPARED
    feed(ticking.processor, *(changed(f"k{n:03}", 1) for n in range(records)), completed(records=records))
    ticking.settle()
    with ticking.database.write() as transaction:
        transaction.execute(update(REPLICA).where(REPLICA.c.key == "k059").values(revision=2))
    assert ticking.messenger.replica_alarm() is None
    assert ticking.ticks(8) == 8
    assert "somebody else has changed" in (ticking.messenger.replica_alarm() or "").lower()
    assert ticking.ticks(5) == 5, "the refused row may be replaced at any time"


def test_snapshot_is_requested_again_when_it_is_time(ticking: Ticking) -> None:
    feed(ticking.processor, changed("a", 1), completed(records=2))
    assert ticking.unready() is not None
    ticking.settle()
    ticking.clock.time += BETWEEN_REQUESTS - dt.timedelta(seconds=1)
    assert ticking.ticks(1) == 0
    ticking.clock.time += dt.timedelta(seconds=1)
    assert ticking.ticks(1) == 1
