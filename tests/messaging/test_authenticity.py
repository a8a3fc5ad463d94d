"""A message whose author is not proven has no effect, wherever it comes from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from contracts.errors import Unavailable
from contracts.topology import Queue, Topology
from runtime.messaging.clocks import MOST_AHEAD
from runtime.messaging.dead_letters.dead_letter import REASON
from runtime.messaging.headers import SIGNED
from runtime.messaging.inbox import KEPT, REMEMBERED, Inbox
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.relay import Relay
from runtime.messaging.ports import Broker, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.retries import MOST_ATTEMPTS
from runtime.messaging.stalled_loops import StalledLoops
from runtime.storage.database import Database
from tests.messaging.consumer_harness import (
    AUTHOR,
    START,
    TABLES,
    ConsumerHarness,
    deliveries,
    delivery,
    opened,
)
from tests.support.hub_keys import signed_body, signer

QUEUES = Topology(exchanges=(), queues=(Queue(name="letters.1"),), bindings=())


@pytest.fixture
def harness(database_url: str) -> Iterator[ConsumerHarness]:
    with opened(database_url) as database:
        yield ConsumerHarness(database)


def not_authentic(harness: ConsumerHarness, check: str) -> float | None:
    labels = {"consumer": "letters", "check": check}
    return harness.registry.get_sample_value("kopuro_messages_not_authentic_total", labels)


def test_forgeries_are_dead_lettered_with_the_failed_check_and_others_pass(harness: ConsumerHarness) -> None:
    unsigned = replace(delivery("u"), headers={"partitionkey": "key of u"})
    changed = replace(delivery("c"), body=b"d")
    other = replace(delivery("o"), headers=signed_body(b"o", "test"))
    stranger = replace(delivery("s"), headers=signed_body(b"s", "stranger"))
    harness.processor.process([*deliveries("a"), unsigned, changed, other, stranger, *deliveries("b")])
    assert harness.effects() == harness.answers() == ["a", "b"]
    parked = {message.body: message for message in harness.dead_letters()}
    assert {body: message.headers[REASON] for body, message in parked.items()} == {
        b"u": "not authentic: the message is not signed",
        b"d": "not authentic: the signature of post covers other bytes",
        b"o": "not authentic: test signed a message that names another source",
        b"s": "not authentic: the message is signed with a key that the manifest does not list",
    }
    for check in ("unsigned", "digest", "source", "key"):
        assert not_authentic(harness, check) == 1
    assert harness.figure("parked") == 4


def test_forged_copy_of_a_message_does_not_hide_the_genuine_one(harness: ConsumerHarness) -> None:
    forged = replace(delivery("a"), headers={"partitionkey": "key of a"})
    harness.processor.process([forged])
    harness.processor.process(deliveries("a"))
    assert harness.effects() == ["a"]


def test_authentic_message_in_a_queue_that_is_not_for_it_is_dead_lettered(harness: ConsumerHarness) -> None:
    misplaced = [replace(delivery("a"), queue=queue) for queue in ("audit.log", "vault.sealed", "routing.0")]
    harness.processor.process([*misplaced, *deliveries("b")])
    assert harness.effects() == ["b"]
    assert {message.headers[REASON] for message in harness.dead_letters()} == {
        f"not authentic: the queue {one.queue} is not for messages of type kopuro.letter.posted.v1"
        for one in misplaced
    }
    assert not_authentic(harness, "queue") == 3


def test_captured_message_takes_no_effect_again_after_the_inbox_has_forgotten_it(
    harness: ConsumerHarness,
) -> None:
    harness.processor.process(deliveries("a"))
    harness.clock.time += REMEMBERED
    harness.processor.process(deliveries("a"))
    assert harness.dead_letters() == []  # the inbox knows it
    harness.clock.time = START + KEPT + dt.timedelta(seconds=1)
    with harness.database.write() as transaction:
        Inbox(TABLES.inbox).forget_before(transaction, harness.clock.time - KEPT, limit=10)
    harness.processor.process(deliveries("a"))
    assert harness.effects() == ["a"]
    (refused,) = harness.dead_letters()
    assert refused.headers[REASON] == "it was sent more than 29 days ago, and may have taken effect before"


def test_message_dated_ahead_takes_no_effect_and_is_reported_as_a_clock_that_is_ahead(
    harness: ConsumerHarness,
) -> None:
    """It would be young enough to take effect a second time when the inbox has forgotten it."""
    harness.clock.time = START - MOST_AHEAD - dt.timedelta(seconds=1)
    harness.processor.process(deliveries("a"))
    assert harness.effects() == []
    (refused,) = harness.dead_letters()
    assert refused.headers[REASON] == "its time is more than 5 minutes ahead of this service's clock"
    assert harness.clocks.furthest() == MOST_AHEAD.total_seconds() + 1
    harness.clock.time = START - MOST_AHEAD
    harness.processor.process(deliveries("a"))
    assert harness.effects() == ["a"]


def test_message_keeps_its_proof_through_retries_into_the_dead_letter(harness: ConsumerHarness) -> None:
    harness.faults["a"] = Unavailable("Not yet.")
    harness.processor.process(deliveries("a"))
    for _ in range(MOST_ATTEMPTS):
        harness.clock.advance(minutes=10)
        harness.processor.retry_due()
    (parked,) = harness.dead_letters()
    assert parked.headers[SIGNED] == delivery("a").headers[SIGNED]
    harness.faults.clear()
    harness.processor.process([replace(delivery("a"), headers=dict(parked.headers))])
    assert harness.effects() == ["a"]


def test_waiting_message_that_was_changed_in_the_database_has_no_effect(harness: ConsumerHarness) -> None:
    harness.faults["a"] = Unavailable("Not yet.")
    harness.processor.process(deliveries("a"))
    with harness.database.write() as transaction:
        transaction.execute(update(TABLES.retries).values(body=b"z"))
    harness.faults.clear()
    harness.clock.advance(minutes=1)
    harness.processor.retry_due()
    assert harness.effects() == []
    (parked,) = harness.dead_letters()
    assert parked.body == b"z"
    assert harness.count(TABLES.retries) == 0


@pytest.fixture(params=["memory", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    made: Broker
    made = MemoryBroker() if request.param == "memory" else RabbitBroker(request.getfixturevalue("vhost"))
    made.declare(QUEUES)
    return made


def test_relayed_wave_takes_effect_at_its_consumer(broker: Broker, database: Database) -> None:
    ids = [f"m{n}" for n in range(150)]
    with database.write() as transaction:
        Outbox(TABLES.outbox).add(
            transaction,
            (
                Outgoing(exchange="", routing_key="letters.1", message_id=i, partition_key=i, body=i.encode())
                for i in ids
            ),
        )
    relay = Relay(
        database=database,
        outbox=Outbox(TABLES.outbox),
        broker=broker,
        signer=signer(AUTHOR),
        metrics=MessagingMetrics(CollectorRegistry()),
        stalled_loops=StalledLoops(),
    )
    harness = ConsumerHarness(database)
    with closing(broker.consumer(["letters.1"], 200)) as consumer:
        assert relay.publish_wave() == 150
        while len(harness.effects()) < 150:
            arrived = consumer.take(200, 5)
            assert arrived
            harness.processor.process(arrived)
            consumer.acknowledge(arrived)
    assert sorted(harness.effects()) == sorted(ids)
    assert harness.dead_letters() == []
