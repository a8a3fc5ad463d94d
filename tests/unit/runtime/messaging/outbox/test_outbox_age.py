"""The age of the oldest event in an outbox."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from sqlalchemy import MetaData

from contracts.facts import ReferralWithdrawn
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.outbox.outbox_age import OutboxAge
from runtime.messaging.ports import Outgoing
from runtime.messaging.tables import messaging_tables
from runtime.storage.database import Database
from tests.support.events import message_of
from tests.support.settable_clock import SettableClock

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def database(sqlite_database: str) -> Iterator[tuple[Database, Outbox]]:
    metadata = MetaData()
    tables = messaging_tables(metadata)
    database = Database.open(sqlite_database)
    metadata.create_all(database.engine)
    yield database, Outbox(tables.outbox)
    database.close()


def message(seconds: float) -> Outgoing:
    referral = new_id()
    fact = ReferralWithdrawn(referral_id=referral, sender="kg.us", organization=None, reason="other")
    return outgoing(message_of(fact, referral, time=NOW - seconds * SECOND, source="/kg/routing"))


def test_age_is_that_of_the_oldest_event_in_single_messages_and_batches(
    database: tuple[Database, Outbox],
) -> None:
    store, outbox = database
    clock = SettableClock(NOW)
    age = OutboxAge(outbox, clock)

    def look() -> float:
        with store.read() as transaction:
            return age.look(transaction)

    assert look() == 0
    with store.write() as transaction:
        outbox.add(transaction, [message(300), message(200)])  # one batch
        outbox.add(transaction, [message(100)])
    assert look() == 300
    clock.time = NOW + 60 * SECOND
    assert look() == 360
    for expected in (160.0, 0.0):
        with store.write() as transaction:
            first = outbox.first(transaction)
            assert first is not None
            outbox.forget(transaction, [first])
        assert look() == expected


def test_message_that_is_not_an_event_ages_from_its_first_look(database: tuple[Database, Outbox]) -> None:
    store, outbox = database
    clock = SettableClock(NOW)
    age = OutboxAge(outbox, clock)
    dead = Outgoing(
        exchange="kopuro.parked", routing_key="q", message_id="m", partition_key="p", body=b"\xff"
    )
    with store.write() as transaction:
        outbox.add(transaction, [dead])
    for seconds in (0, 30):
        clock.time = NOW + seconds * SECOND
        with store.read() as transaction:
            assert age.look(transaction) == seconds
