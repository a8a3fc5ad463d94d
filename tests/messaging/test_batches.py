"""A batch between taking and acknowledging, on both databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from contracts import envelope
from contracts.errors import Defect, Refused, Unavailable
from contracts.facts import ReplicaRequested
from contracts.topology import Queue, Topology
from runtime.messaging.inbox import Inbox
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.ports import Outgoing
from runtime.messaging.retries import MOST_ATTEMPTS, delay_after
from runtime.storage.database import Database, DatabaseUnavailable
from tests.messaging.workshop import SECRET, START, TABLES, Workshop, deliveries, delivery, opened

TEN = [f"m{number}" for number in range(10)]


@pytest.fixture
def workshop(database_url: str) -> Iterator[Workshop]:
    with opened(database_url) as database:
        yield Workshop(database)


def test_a_batch_takes_effect_with_what_follows_from_it(workshop: Workshop) -> None:
    workshop.processor.process(deliveries(*TEN))
    assert workshop.effects() == workshop.answers() == TEN
    assert [m.body.decode() for m in workshop.outbox()] == TEN, "what follows keeps the order of its causes"
    assert workshop.commits == 1


def test_a_message_delivered_again_takes_effect_once(workshop: Workshop) -> None:
    workshop.processor.process(deliveries("a", "b", "a"))
    workshop.processor.process(deliveries("b", "c"))
    workshop.processor.process(deliveries("a", "b", "c"))
    assert workshop.effects() == workshop.answers() == ["a", "b", "c"]
    assert (workshop.figure("applied"), workshop.figure("known")) == (3, 5)


@pytest.mark.parametrize(
    "poison",
    [ValueError(SECRET), KeyError(SECRET), Defect("It does not add up."), Refused("conflict", "No.")],
)
def test_a_poison_message_is_parked_and_its_neighbours_pass(workshop: Workshop, poison: Exception) -> None:
    workshop.faults["m4"] = poison
    workshop.processor.process(deliveries(*TEN))
    others = [id_ for id_ in TEN if id_ != "m4"]
    assert workshop.effects() == workshop.answers() == others
    (parked,) = workshop.parked()
    assert (parked.message_id, parked.body, parked.partition_key) == ("m4", b"m4", "key of m4")
    assert parked.headers["kopuro-queue"] == "letters.1"
    assert parked.headers["kopuro-routing-key"] == "letter.posted"
    assert parked.headers["kopuro-first-seen"] == START.isoformat()
    assert type(poison).__name__ in parked.headers["kopuro-reason"]
    assert SECRET not in str(parked.headers)
    assert (workshop.figure("applied"), workshop.figure("parked")) == (9, 1)
    # and when it is put back and its cause is mended, it takes effect
    workshop.faults.clear()
    workshop.processor.process(deliveries("m4"))
    assert workshop.effects() == TEN


def test_the_reason_names_the_line_of_ours_that_an_unforeseen_error_came_from(workshop: Workshop) -> None:
    workshop.faults["a"] = ValueError(SECRET)
    workshop.processor.process(deliveries("a"))
    (parked,) = workshop.parked()
    assert parked.headers["kopuro-reason"].startswith("ValueError at tests/messaging/workshop.py:")


def test_malformed_bytes_are_parked_as_they_are(workshop: Workshop) -> None:
    broken = delivery("x", body=b"\xff\x00\xfe")
    nameless = delivery("", body=b"\xff")
    workshop.processor.process([*deliveries("a"), broken, nameless, *deliveries("b")])
    assert workshop.effects() == ["a", "b"]
    assert [(m.message_id, m.body) for m in workshop.parked()] == [
        ("x", b"\xff\x00\xfe"),
        ("unknown", b"\xff"),
    ]
    assert workshop.parked()[0].headers["kopuro-reason"] == "Malformed: not a letter"


@pytest.mark.parametrize("name", ["n" * 200, "nul\0nul", "half \ud83d a pair"])
def test_nothing_a_broker_may_deliver_is_too_odd_to_be_parked(workshop: Workshop, name: str) -> None:
    odd = replace(delivery(name, body=b"\xff"), headers={"partitionkey": name * 2})
    workshop.processor.process([odd, *deliveries("a")])
    assert workshop.effects() == ["a"]
    assert [m.body for m in workshop.parked()] == [b"\xff"]


def test_an_id_too_long_to_remember_is_parked(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        workshop = Workshop(database)
        workshop.processor.process(deliveries("a", "x" * 100, "b"))
        assert workshop.effects() == ["a", "b"]
        assert [m.body for m in workshop.parked()] == [b"x" * 100]


def test_events_of_one_parcel_are_parked_each_under_its_own_name(database_url: str) -> None:
    requested = [event("a", "key of a"), event("b", "key of b"), event("c\0c", "key of c"), event("d", "d")]
    unknown = requested[1].replace(b"kopuro.replica.requested.v1", b"kopuro.star.seen.v9")
    (parcel,) = encode_batch(
        Outgoing(exchange="", routing_key="letters.1", message_id="a", partition_key="key of a", body=body)
        for body in (requested[0], unknown, *requested[2:])
    )
    broker = MemoryBroker()
    broker.declare(Topology(exchanges=(), queues=(Queue(name="letters.1"),), bindings=()))
    broker.publisher().publish([parcel])
    with opened(database_url) as database:
        workshop = Workshop(database, decode=envelope.decode)
        workshop.processor.process(broker.consumer(["letters.1"], 1).take(10, 1))
        assert workshop.effects() == ["a", "d"]
        parked = {m.body: (m.message_id, m.partition_key) for m in workshop.parked()}
    # what names itself in no way that can be used has the name that its message came with
    assert parked == {unknown: ("b", "key of b"), requested[2]: ("a", "key of a")}


def event(id_: str, partition_key: str) -> bytes:
    return envelope.Event(
        id=id_,
        source="/kg/test",
        time=START,
        partition_key=partition_key,
        correlation_id=id_,
        causation_id=None,
        data=ReplicaRequested(queue="somebody.directory"),
    ).encode()


@pytest.mark.parametrize("name", ['it\'s "so"?%', "Айгерим", "\u2028", "null", "1e400", " "])
def test_an_odd_id_is_an_id(workshop: Workshop, name: str) -> None:
    for _ in range(2):
        workshop.processor.process(deliveries(name))
    assert workshop.effects() == [name]
    assert workshop.parked() == []


def test_what_cannot_be_processed_yet_is_tried_again_when_due(workshop: Workshop) -> None:
    workshop.faults["b"] = Unavailable("The other record is not here yet.")
    workshop.processor.process(deliveries("a", "b", "c"))
    assert workshop.effects() == workshop.answers() == ["a", "c"]
    assert workshop.count(TABLES.retries) == 1
    assert workshop.processor.retry_due() == 0, "not before it is due"

    workshop.clock.advance(seconds=1)
    assert workshop.processor.retry_due() == 1
    assert workshop.count(TABLES.retries) == 1
    workshop.clock.advance(seconds=1.9)
    assert workshop.processor.retry_due() == 0, "the second delay is twice the first"

    workshop.faults.clear()
    workshop.clock.advance(seconds=0.1)
    assert workshop.processor.retry_due() == 1
    assert workshop.effects() == workshop.answers() == ["a", "b", "c"]
    assert workshop.count(TABLES.retries) == 0
    assert workshop.parked() == []


def test_what_waits_for_its_retry_and_is_delivered_again_takes_effect_once(workshop: Workshop) -> None:
    workshop.faults["a"] = Unavailable("Not yet.")
    workshop.processor.process(deliveries("a"))
    workshop.processor.process(deliveries("a"))
    assert workshop.count(TABLES.retries) == 1
    workshop.faults.clear()
    workshop.processor.process(deliveries("a"))
    workshop.clock.advance(minutes=1)
    workshop.processor.retry_due()
    assert workshop.effects() == ["a"]
    assert workshop.count(TABLES.retries) == 0


def test_two_messages_without_a_name_outside_do_not_share_a_retry(workshop: Workshop) -> None:
    workshop.faults = {"a": Unavailable("Not yet."), "b": Unavailable("Not yet.")}
    workshop.processor.process([delivery("", body=b"a"), delivery("", body=b"b")])
    workshop.faults.clear()
    workshop.clock.advance(minutes=1)
    workshop.processor.retry_due()
    assert workshop.effects() == ["a", "b"]


def test_after_too_many_attempts_a_person_must_look(workshop: Workshop) -> None:
    workshop.faults["a"] = Unavailable("Never.")
    workshop.processor.process(deliveries("a"))
    attempts = 1
    while workshop.count(TABLES.retries):
        workshop.clock.advance(minutes=10)
        attempts += workshop.processor.retry_due()
    assert attempts == MOST_ATTEMPTS
    (parked,) = workshop.parked()
    assert parked.body == b"a"
    assert parked.headers["kopuro-reason"] == "Unavailable: Never."
    assert parked.headers["kopuro-first-seen"] == START.isoformat()
    assert parked.headers["kopuro-queue"] == "letters.1"


def test_a_retry_that_turns_out_poisonous_is_parked(workshop: Workshop) -> None:
    workshop.faults["a"] = Unavailable("Not yet.")
    workshop.processor.process(deliveries("a"))
    workshop.faults["a"] = ValueError("never")
    workshop.clock.advance(seconds=1)
    workshop.processor.retry_due()
    assert len(workshop.parked()) == 1
    assert workshop.count(TABLES.retries) == 0


def test_without_a_database_nothing_is_recorded_and_the_caller_knows(workshop: Workshop) -> None:
    workshop.faults["c"] = DatabaseUnavailable("The disk is full.")
    with pytest.raises(DatabaseUnavailable):
        workshop.processor.process(deliveries("a", "b", "c"))
    assert workshop.effects() == workshop.answers() == []
    for table in (TABLES.inbox, TABLES.outbox, TABLES.retries):
        assert workshop.count(table) == 0
    assert workshop.commits == 0


def test_a_missing_table_pauses_the_consumer_and_parks_nothing(workshop: Workshop) -> None:
    with workshop.database.write() as transaction:
        transaction.execute(text("ALTER TABLE effects RENAME TO effects_not_migrated_yet"))
    with pytest.raises(DatabaseUnavailable):
        workshop.processor.process(deliveries("a", "b"))
    with workshop.database.write() as transaction:
        transaction.execute(text("ALTER TABLE effects_not_migrated_yet RENAME TO effects"))
    assert workshop.outbox() == []
    workshop.processor.process(deliveries("a", "b"))
    assert workshop.effects() == ["a", "b"]


def test_a_handler_that_raises_leaves_nothing_behind(workshop: Workshop) -> None:
    workshop.faults["a"] = ValueError("after its effect was written and its answer given")
    workshop.processor.process(deliveries("a"))
    assert workshop.effects() == workshop.answers() == []
    assert workshop.count(TABLES.inbox) == 0


def test_an_empty_batch_is_nothing(workshop: Workshop) -> None:
    workshop.processor.process([])
    assert workshop.count(TABLES.inbox) == 0


def test_delays_double_up_to_ten_minutes() -> None:
    seconds = [delay_after(attempts).total_seconds() for attempts in range(1, MOST_ATTEMPTS)]
    assert seconds[:5] == [1, 2, 4, 8, 16]
    assert seconds[-1] == 600
    assert 40 * 60 < sum(seconds) < 80 * 60


def admit(database: Database, consumer: str, *ids: str, at: dt.datetime = START) -> set[str]:
    with database.write() as transaction:
        return Inbox(TABLES.inbox).admit(transaction, consumer, ids, at)


def test_an_inbox_knows_messages_by_consumer_until_it_forgets_them(workshop: Workshop) -> None:
    database = workshop.database
    assert admit(database, "one", "a", "b", "a") == {"a", "b"}
    assert admit(database, "one", "b", "c", at=START + dt.timedelta(days=1)) == {"c"}
    assert admit(database, "two", "a") == {"a"}
    assert admit(database, "one") == set()
    with database.write() as transaction:
        assert Inbox(TABLES.inbox).forget_before(transaction, START + dt.timedelta(hours=1), 10) == 3
        assert set(transaction.execute(select(TABLES.inbox.c.message_id)).scalars()) == {"c"}


def test_an_inbox_takes_a_batch_of_any_size(workshop: Workshop) -> None:
    ids = [f"m{number}" for number in range(5_000)]
    assert admit(workshop.database, "one", *ids[::2]) == set(ids[::2])
    assert admit(workshop.database, "one", *ids) == set(ids[1::2])
