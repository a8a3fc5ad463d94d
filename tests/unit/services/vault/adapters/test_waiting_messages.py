"""The messages that wait for the vault: at the broker, as retries, and on their way to the dead letters."""

from __future__ import annotations

import datetime as dt

import pytest

from contracts.topology import DEAD_LETTERS, hub_topology
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.retries import Retries
from runtime.storage.database import Database
from services.vault.adapters.tables import MESSAGING
from services.vault.adapters.waiting_messages import WaitingMessages
from services.vault.domain.quiet_window import WaitingForVault
from tests.support.migrated import upgrade

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
QUEUE, DEAD_LETTER_QUEUE = "vault.sealed", "vault.sealed.parked"


def message(id_: str, *, queue: str = DEAD_LETTER_QUEUE) -> Outgoing:
    return Outgoing(exchange=DEAD_LETTERS, routing_key=queue, message_id=id_, partition_key="p", body=b"{}")


def postponed(id_: str) -> Delivery:
    return Delivery(
        tag=1, queue=QUEUE, routing_key="k", message_id=id_, headers={}, body=b"{}", redelivered=False
    )


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.declare(hub_topology())
    return broker


def test_messages_are_counted_wherever_they_wait(database_url: str, broker: MemoryBroker) -> None:
    database = Database.open(database_url)
    upgrade("services.vault", database)
    waiting = WaitingMessages(broker.queue_reader(), database)
    assert waiting.count() == WaitingForVault(queued=0, dead_letters=0, oldest_retry=None)

    with database.write() as transaction:
        for minutes in (2, 1):
            Retries(MESSAGING.retries, QUEUE).postpone(
                transaction,
                postponed(f"r{minutes}"),
                attempts=1,
                reason="x",
                now=NOW + dt.timedelta(minutes=minutes),
            )
        Retries(MESSAGING.retries, "vault.events").postpone(
            transaction, postponed("other"), attempts=1, reason="x", now=NOW
        )
        Outbox(MESSAGING.outbox).add(transaction, [message("a"), message("b", queue="vault.events.parked")])
    broker.publisher().publish([message("c")])
    assert waiting.count() == WaitingForVault(
        queued=0, dead_letters=2, oldest_retry=NOW + dt.timedelta(minutes=1)
    )

    with database.write() as transaction:
        for number in range(1000):
            Outbox(MESSAGING.outbox).add(transaction, [message(f"m{number}")])
    assert waiting.count() is None, "a long outbox is not searched"
    database.close()


def test_absent_broker_gives_no_count(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.vault", database)
    assert WaitingMessages(MemoryBroker().queue_reader(), database).count() is None
    database.close()
