"""Dead letters on RabbitMQ: what only it does, and replay to a consumer with an inbox.

The behaviour that the fake shares is in tests/port_contracts/test_dead_letters.py.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import amqp
import kombu
import pytest
from sqlalchemy import select

from contracts.topology import (
    DEAD_LETTERS,
    DIRECT,
    REPLAYS,
    Queue,
    Topology,
    addressed,
    dead_letter_queue,
    merged,
    work_queue,
)
from runtime.messaging.batches import BatchProcessor, Identified
from runtime.messaging.dead_letters.dead_letter import dead_letter_of
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetters
from runtime.messaging.inbox import EventIdentity
from runtime.messaging.ports import BrokerUnavailable, Delivery, Outgoing, Publisher
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.browser import RabbitBrowsers
from tests.messaging.consumer_harness import AUTHOR, SECRET, START, TABLES, ConsumerHarness, delivery, opened
from tests.support.hub_keys import HUB, signed_body

LETTERS = merged(
    Topology(
        exchanges=(),
        queues=(
            work_queue("letters.1", "letters"),
            Queue(
                name="letters.fragile",
                arguments={**work_queue("letters.fragile", "letters").arguments, "x-delivery-limit": 1},
            ),
            dead_letter_queue("letters"),
            Queue(name="answers", arguments={"x-queue-type": "quorum"}),
        ),
        bindings=(),
    ),
    addressed(DEAD_LETTERS, ["letters.parked"]),
    addressed(REPLAYS, ["letters.1", "letters.fragile"]),
)
LONG = 10.0


def parked_one(id_: str, *, body: bytes | None = None, reason: str = "Defect: No.") -> Outgoing:
    return dead_letter_of(delivery(id_, body=body), consumer="letters", reason=reason, now=START)


@dataclass
class DeadLetterBroker:
    """A virtual host with the consumer `letters`."""

    uri: str

    def __post_init__(self) -> None:
        self.broker = RabbitBroker(self.uri)
        self.broker.declare(LETTERS)
        self.browse = RabbitBrowsers(self.uri)

    def publish(self, *messages: Outgoing) -> None:
        with contextlib.closing(self.broker.publisher()) as publisher:
            publisher.publish(messages)

    def park(self, *ids: str) -> None:
        self.publish(*map(parked_one, ids))

    @contextlib.contextmanager
    def dead_letters(self, publisher: Publisher | None = None) -> Iterator[DeadLetters]:
        with contextlib.closing(self.broker.publisher()) as ours:
            yield DeadLetters(browse=self.browse, publisher=publisher or ours, topology=LETTERS)

    def seen(self) -> list[str]:
        with self.browse("letters.parked") as browser:
            return [message.message_id for message in browser.messages()]

    def take(self, queue: str, count: int) -> list[Delivery]:
        """Take and acknowledge `count` messages."""
        with contextlib.closing(self.broker.consumer([queue], 1000)) as consumer:
            taken: list[Delivery] = []
            while len(taken) < count:
                more = consumer.take(1000, LONG)
                assert more, f"only {len(taken)} of {count} arrived in {queue}"
                taken += more
            consumer.acknowledge(taken)
        return taken

    def exhaust_deliveries(self, id_: str) -> None:
        """Publish a message on which a process dies each time, until the delivery limit is passed."""
        self.publish(
            Outgoing(
                exchange=DIRECT,
                routing_key="letters.fragile",
                message_id=id_,
                partition_key="key",
                body=id_.encode(),
            )
        )
        for _ in range(2):
            with contextlib.closing(self.broker.consumer(["letters.fragile"], 1)) as consumer:
                assert consumer.take(1, LONG)

    def await_parked(self, count: int) -> list[str]:
        """Wait until the dead-letter queue has `count` messages; return their ids."""
        deadline = time.monotonic() + LONG
        while len(ids := self.seen()) < count:
            assert time.monotonic() < deadline, f"only {ids} are parked"
        return ids


@pytest.fixture
def letters_broker(vhost: str) -> DeadLetterBroker:
    return DeadLetterBroker(vhost)


# --- Looking -------------------------------------------------------------------------------------


def test_browser_closes_after_all_messages_are_back(letters_broker: DeadLetterBroker) -> None:
    letters_broker.park(*(str(number) for number in range(500)))
    with kombu.Connection(letters_broker.uri) as other:
        channel = other.channel()

        def ready() -> int:
            return int(channel.queue_declare("letters.parked", passive=True).message_count)

        for _ in range(10):
            with letters_broker.browse("letters.parked") as browser:
                list(browser.messages())
                assert ready() == 0
                browser.end()
                assert ready() == 500


def test_browsing_without_broker_raises_broker_unavailable(vhost: str) -> None:
    nobody = vhost.rsplit(":", 1)[0] + ":1/x"
    with pytest.raises(BrokerUnavailable), RabbitBrowsers(nobody)("letters.parked"):
        pass


# --- Messages that py-amqp cannot decode ----------------------------------------------------------


def _field(name: bytes, kind: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + kind + value


def _table(*fields: bytes) -> bytes:
    """The property flags for headers alone, and a table of these fields."""
    content = b"".join(fields)
    return b"\x20\x00" + struct.pack(">I", len(content)) + content


# RabbitMQ itself refuses a field of an unknown type.
UNDECODABLE = {
    "time beyond the year 9999": _table(_field(b"n", b"T", struct.pack(">Q", 2**62))),
    "time that no clock shows": _table(_field(b"n", b"T", struct.pack(">Q", 2**63))),
    # message_id, whose bytes are no UTF-8
    "text that is not UTF-8": b"\x00\x80" + bytes([2]) + b"\xff\xfe",
}


class RawMessage(amqp.Message):  # type: ignore[misc]  # py-amqp has no types
    """A message whose properties are these bytes."""

    def __init__(self, body: bytes, properties: bytes) -> None:
        super().__init__(body)
        self._raw = properties

    def _serialize_properties(self) -> bytes:
        return self._raw


def publish_raw(uri: str, queue: str, messages: Sequence[tuple[bytes, bytes]]) -> None:
    with kombu.Connection(uri) as link:
        channel = link.default_channel
        for body, properties in messages:
            # Waits for the confirm.
            channel.basic_publish_confirm(RawMessage(body, properties), exchange="", routing_key=queue)


def test_undecodable_message_is_dead_lettered_at_its_first_delivery(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    post(letters_broker, "a")
    raw = [(name.encode(), properties) for name, properties in UNDECODABLE.items()]
    publish_raw(letters_broker.uri, "letters.1", [*raw, (b"", raw[0][1])])
    post(letters_broker, "b")
    processed(letters_broker, harness, 2 + len(raw) + 1)
    assert harness.effects() == ["a", "b"]
    with letters_broker.dead_letters() as dead_letters:
        found = list(dead_letters.of("letters"))
    assert {letter.reason for letter in found} == {"its AMQP properties cannot be decoded"}
    assert [letter.size for letter in found] == [*(len(body) for body, _ in raw), 0]


def test_dead_letter_that_cannot_be_decoded_is_shown_among_the_others(
    letters_broker: DeadLetterBroker,
) -> None:
    letters_broker.park("a")
    publish_raw(letters_broker.uri, "letters.parked", [(b"x", raw) for raw in UNDECODABLE.values()])
    letters_broker.park("b")
    with letters_broker.dead_letters() as dead_letters:
        found = list(dead_letters.of("letters"))
        assert [letter.message_id for letter in found] == ["a", *[""] * len(UNDECODABLE), "b"]
        assert {letter.reason for letter in found[1:-1]} == {"its AMQP properties cannot be decoded"}
        assert len(dead_letters.discard("letters", "", number=2)) == len(UNDECODABLE)
    assert letters_broker.seen() == ["a", "b"]


def test_routing_key_and_encoding_that_cannot_be_decoded_cost_nothing(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    with kombu.Connection(letters_broker.uri) as link:
        channel = link.default_channel
        channel.exchange_declare("free", "fanout")
        channel.queue_bind("letters.1", "free")
        headers = signed_body(b"a", AUTHOR)
        channel.basic_publish(
            amqp.Message(b"a", application_headers=headers, content_encoding="unicode_escape"),
            exchange="free",
            routing_key=b"\xff\xfe",
        )
    (taken,) = letters_broker.take("letters.1", 1)
    assert (taken.body, taken.routing_key) == (b"a", "??")
    harness.processor.process([taken])
    assert harness.effects() == ["a"]


# --- Back to the consumer ------------------------------------------------------------------------


@pytest.fixture
def harness(sqlite_database: str) -> Iterator[ConsumerHarness]:
    with opened(sqlite_database) as database:
        yield ConsumerHarness(database)


def processed(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness, count: int
) -> BatchProcessor[Identified]:
    """Consume this many messages, and publish the dead letters as the relay would."""
    before = len(harness.dead_letters())
    harness.processor.process(letters_broker.take("letters.1", count))
    letters_broker.publish(*harness.dead_letters()[before:])
    return harness.processor


def in_inbox(harness: ConsumerHarness, *ids: str) -> list[str]:
    """Return those of the ids that the inbox knows."""
    with harness.database.read() as transaction:
        keys = set(transaction.execute(select(TABLES.inbox.c.message_id)).scalars())
    known = [id_ for id_ in ids if EventIdentity(f"/{HUB}/{AUTHOR}", id_).key in keys]
    assert len(known) == len(keys)
    return known


def post(letters_broker: DeadLetterBroker, *ids: str) -> None:
    letters_broker.publish(
        *(
            Outgoing(
                exchange=DIRECT,
                routing_key="letters.1",
                message_id=id_,
                partition_key=f"key of {id_}",
                body=id_.encode(),
                headers=signed_body(id_.encode(), AUTHOR),
            )
            for id_ in ids
        )
    )


def test_replayed_poison_message_returns_until_its_cause_is_fixed(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    harness.faults["b"] = ValueError(SECRET)
    post(letters_broker, "a", "b", "c")
    processed(letters_broker, harness, 3)
    assert letters_broker.seen() == ["b"]
    assert in_inbox(harness, "a", "b", "c") == ["a", "c"], (
        "what is parked is not known, so that it can take effect"
    )

    harness.clock.advance(days=1)
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.replay("letters", "b")
    assert letters_broker.seen() == []
    processed(letters_broker, harness, 1)
    with letters_broker.dead_letters() as dead_letters:
        (again,) = dead_letters.of("letters")
    assert again.first_seen == START.isoformat()
    assert (again.origin, again.partition_key) == ("letters.1", "key of b")
    assert SECRET not in again.reason

    harness.faults.clear()
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.replay("letters", "b")
    processed(letters_broker, harness, 1)
    assert harness.effects() == ["a", "b", "c"]
    assert letters_broker.seen() == []


class DyingPublisher:
    """Publishes, and is killed before the confirm is read."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self._publisher.publish(messages)
        raise SystemExit

    def tend(self) -> None: ...

    def close(self) -> None: ...


def test_replay_killed_before_removal_loses_nothing_and_applies_once(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    letters_broker.park("a", "b", "c")
    publisher = DyingPublisher(letters_broker.broker.publisher())
    with pytest.raises(SystemExit), letters_broker.dead_letters(publisher) as dead_letters:
        dead_letters.replay("letters", "b")
    assert letters_broker.seen() == ["a", "b", "c"], "still parked"
    with letters_broker.dead_letters() as dead_letters:
        replayed = [letter.message_id for letter in dead_letters.replay_all("letters")]
    assert replayed == ["a", "b", "c"]
    assert letters_broker.seen() == []
    deliveries = letters_broker.take("letters.1", 4)
    assert [delivery.message_id for delivery in deliveries] == ["b", "a", "b", "c"], "in both places"
    harness.processor.process(deliveries)
    assert harness.effects() == ["a", "b", "c"]


def test_replayed_forgery_is_dead_lettered_again(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    forged = Outgoing(
        exchange=DIRECT, routing_key="letters.1", message_id="f", partition_key="key of f", body=b"f"
    )
    post(letters_broker, "a")
    letters_broker.publish(forged)
    processed(letters_broker, harness, 2)
    for _ in range(2):
        with letters_broker.dead_letters() as dead_letters:
            (letter,) = dead_letters.of("letters")
            assert letter.reason == "not authentic: the message is not signed"
            dead_letters.replay("letters", "f")
        processed(letters_broker, harness, 1)
    assert letters_broker.seen() == ["f"]
    assert harness.effects() == ["a"]


def test_message_dead_lettered_by_broker_is_replayed_to_its_queue(letters_broker: DeadLetterBroker) -> None:
    letters_broker.exhaust_deliveries("a")
    assert letters_broker.await_parked(1) == ["a"]
    with letters_broker.dead_letters() as dead_letters:
        (letter,) = dead_letters.of("letters")
        assert (letter.reason, letter.origin) == (
            "dead-lettered by the broker: delivery_limit",
            "letters.fragile",
        )
        assert letter.first_seen is not None
        dead_letters.replay("letters", "a")
    (back,) = letters_broker.take("letters.fragile", 1)
    assert (back.body, back.headers["partitionkey"]) == (b"a", "key")
    assert "x-death" not in back.headers
    assert letters_broker.seen() == []
