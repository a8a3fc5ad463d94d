"""Processing of a batch between taking and acknowledging it, on both databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import insert, select, text

from contracts import envelope
from contracts.errors import Defect, Refused, Unavailable
from contracts.facts import ReplicaRequested
from contracts.topology import Queue, Topology
from runtime.messaging.batches import Identified
from runtime.messaging.headers import UNDECODABLE_PROPERTIES
from runtime.messaging.inbox import EventIdentity, Inbox
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.ports import MOST_MESSAGE_BYTES, Delivery, Outgoing
from runtime.messaging.retries import MOST_ATTEMPTS, Retries, delay_after
from runtime.storage.database import Database, DatabaseUnavailable
from tests.messaging import consumer_harness
from tests.messaging.consumer_harness import (
    SECRET,
    START,
    TABLES,
    ConsumerHarness,
    answer_to,
    deliveries,
    delivery,
    opened,
)
from tests.support.hub_keys import signed, signed_body
from tests.support.turns import count_turns

TEN = [f"m{number}" for number in range(10)]


@pytest.fixture
def harness(database_url: str) -> Iterator[ConsumerHarness]:
    with opened(database_url) as database:
        yield ConsumerHarness(database)


def test_batch_commits_effects_and_outbox_together(harness: ConsumerHarness) -> None:
    harness.processor.process(deliveries(*TEN))
    assert harness.effects() == harness.answers() == TEN
    assert [m.body.decode() for m in harness.outbox()] == TEN, "what follows keeps the order of its causes"
    assert harness.commits == 1


def test_others_may_run_before_each_message_is_verified(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = count_turns(monkeypatch)
    harness.processor.process(deliveries(*TEN))
    assert counted["_decoded"] == len(TEN)


def test_others_may_run_before_each_message_of_a_failed_batch(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On SQLite a short transaction ends before its turn ends, and does not wait for a lock.
    harness.faults |= {"m1": Unavailable("Not here yet."), "m2": ValueError("x"), "m3": ValueError("x")}
    counted = count_turns(monkeypatch)
    harness.processor.process(deliveries(*TEN))
    assert (counted["process"], counted["_park"]) == (len(TEN), 2)
    harness.clock.advance(seconds=1)
    assert harness.processor.retry_due() == counted["retry_due"] == 1


def test_redelivered_message_takes_effect_once(harness: ConsumerHarness) -> None:
    harness.processor.process(deliveries("a", "b", "a"))
    harness.processor.process(deliveries("b", "c"))
    harness.processor.process(deliveries("a", "b", "c"))
    assert harness.effects() == harness.answers() == ["a", "b", "c"]
    assert (harness.figure("applied"), harness.figure("known")) == (3, 5)


@pytest.mark.parametrize(
    "poison",
    [ValueError(SECRET), KeyError(SECRET), Defect("It does not add up."), Refused("conflict", "No.")],
)
def test_poison_message_is_dead_lettered_and_others_pass(harness: ConsumerHarness, poison: Exception) -> None:
    harness.faults["m4"] = poison
    harness.processor.process(deliveries(*TEN))
    others = [id_ for id_ in TEN if id_ != "m4"]
    assert harness.effects() == harness.answers() == others
    (parked,) = harness.dead_letters()
    assert (parked.message_id, parked.body, parked.partition_key) == ("m4", b"m4", "key of m4")
    assert parked.headers["kopuro-queue"] == "letters.1"
    assert parked.headers["kopuro-routing-key"] == "letter.posted"
    assert parked.headers["kopuro-first-seen"] == START.isoformat()
    assert type(poison).__name__ in parked.headers["kopuro-reason"]
    assert SECRET not in str(parked.headers)
    assert (harness.figure("applied"), harness.figure("parked")) == (9, 1)
    # and when it is put back and its cause is mended, it takes effect
    harness.faults.clear()
    harness.processor.process(deliveries("m4"))
    assert harness.effects() == TEN


def test_reason_of_unexpected_error_names_source_line(harness: ConsumerHarness) -> None:
    harness.faults["a"] = ValueError(SECRET)
    harness.processor.process(deliveries("a"))
    (parked,) = harness.dead_letters()
    assert parked.headers["kopuro-reason"].startswith("ValueError at runtime/messaging/")


def test_malformed_bytes_are_parked_as_they_are(harness: ConsumerHarness) -> None:
    broken = delivery("x", body=b"\xff\x00\xfe")
    nameless = delivery("", body=b"\xff")
    harness.processor.process([*deliveries("a"), broken, nameless, *deliveries("b")])
    assert harness.effects() == ["a", "b"]
    assert [(m.message_id, m.body) for m in harness.dead_letters()] == [
        ("x", b"\xff\x00\xfe"),
        ("unknown", b"\xff"),
    ]
    assert harness.dead_letters()[0].headers["kopuro-reason"] == "Malformed: not a letter"


@pytest.mark.parametrize("name", ["n" * 200, "nul\0nul", "half \ud83d a pair"])
def test_any_delivery_can_be_dead_lettered(harness: ConsumerHarness, name: str) -> None:
    odd = delivery(name, body=b"\xff")
    odd = replace(odd, headers={**odd.headers, "partitionkey": name * 2})
    harness.processor.process([odd, *deliveries("a")])
    assert harness.effects() == ["a"]
    assert [m.body for m in harness.dead_letters()] == [b"\xff"]


def test_message_with_overlong_id_is_dead_lettered(postgres_database: str) -> None:
    with opened(postgres_database) as database:
        harness = ConsumerHarness(database)
        harness.processor.process(deliveries("a", "x" * 100, "b"))
        assert harness.effects() == ["a", "b"]
        assert [m.body for m in harness.dead_letters()] == [b"x" * 100]


def test_events_of_one_batch_message_are_dead_lettered_separately(database_url: str) -> None:
    requested = [event("a", "key of a"), event("b", "key of b"), event("c\0c", "key of c"), event("d", "d")]
    unknown = requested[1].replace(b"kopuro.replica.requested.v1", b"kopuro.star.seen.v9")
    (batch,) = encode_batch(
        Outgoing(exchange="", routing_key="letters.1", message_id="a", partition_key="key of a", body=body)
        for body in (requested[0], unknown, *requested[2:])
    )
    broker = MemoryBroker()
    broker.declare(Topology(exchanges=(), queues=(Queue(name="letters.1"),), bindings=()))
    broker.publisher().publish([signed(batch)])
    with opened(database_url) as database:
        harness = ConsumerHarness(database, decode=envelope.decode)
        harness.processor.process(broker.consumer(["letters.1"], 1).take(10, 1))
        assert harness.effects() == ["a", "d"]
        parked = {m.body: (m.message_id, m.partition_key) for m in harness.dead_letters()}
    # An event without a usable id and key gets those of the message in which it came.
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
def test_unusual_message_id_is_accepted(harness: ConsumerHarness, name: str) -> None:
    for _ in range(2):
        harness.processor.process(deliveries(name))
    assert harness.effects() == [name]
    assert harness.dead_letters() == []


def test_deferred_message_is_retried_when_due(harness: ConsumerHarness) -> None:
    harness.faults["b"] = Unavailable("The other record is not here yet.")
    harness.processor.process(deliveries("a", "b", "c"))
    assert harness.effects() == harness.answers() == ["a", "c"]
    assert harness.count(TABLES.retries) == 1
    assert harness.processor.retry_due() == 0, "not before it is due"
    assert harness.consumers_due() == set()

    harness.clock.advance(seconds=1)
    assert harness.consumers_due() == {harness.processor.consumer}
    assert harness.processor.retry_due() == 1
    assert harness.count(TABLES.retries) == 1
    harness.clock.advance(seconds=1.9)
    assert harness.processor.retry_due() == 0, "the second delay is twice the first"

    harness.faults.clear()
    harness.clock.advance(seconds=0.1)
    assert harness.processor.retry_due() == 1
    assert harness.effects() == harness.answers() == ["a", "b", "c"]
    assert harness.count(TABLES.retries) == 0
    assert harness.dead_letters() == []


def test_message_whose_effect_no_broker_takes_is_dead_lettered_alone(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(message: Identified) -> Outgoing:
        answer = answer_to(message)
        return replace(answer, body=b"x" * (MOST_MESSAGE_BYTES + 1)) if message.id == "b" else answer

    monkeypatch.setattr(consumer_harness, "answer_to", large)
    harness.processor.process(deliveries("a", "b", "c"))
    assert harness.effects() == harness.answers() == ["a", "c"]
    (letter,) = harness.dead_letters()
    assert letter.message_id == "b"
    assert "too large for the broker" in letter.headers["kopuro-reason"]


def test_message_of_another_author_is_parked_and_its_neighbours_take_effect(database_url: str) -> None:
    with opened(database_url) as database:
        harness = ConsumerHarness(
            database, fault=lambda one, _: None if one.user_id == "author" else "sent by somebody else"
        )
        harness.processor.process(
            [
                replace(delivery("a"), user_id="author"),
                replace(delivery("b", tag=2), user_id="thief"),
                replace(delivery("c", tag=3), user_id=None),
                replace(delivery("d", tag=4), user_id="author"),
            ]
        )
        assert harness.effects() == ["a", "d"]
        assert [(m.message_id, m.headers["kopuro-reason"]) for m in harness.dead_letters()] == [
            ("b", "not authentic: sent by somebody else"),
            ("c", "not authentic: sent by somebody else"),
        ]


def test_deferred_message_keeps_the_result_of_its_first_check(database_url: str) -> None:
    with opened(database_url) as database:
        harness = ConsumerHarness(
            database, fault=lambda one, _: None if one.user_id == "author" else "sent by somebody else"
        )
        harness.faults["a"] = Unavailable("Not yet.")
        harness.processor.process([replace(delivery("a"), user_id="author")])
        harness.faults.clear()
        harness.clock.advance(seconds=2)
        assert harness.processor.retry_due() == 1
        assert (harness.effects(), harness.dead_letters()) == (["a"], [])


def test_message_redelivered_while_waiting_for_retry_takes_effect_once(harness: ConsumerHarness) -> None:
    harness.faults["a"] = Unavailable("Not yet.")
    harness.processor.process(deliveries("a"))
    harness.processor.process(deliveries("a"))
    assert harness.count(TABLES.retries) == 1
    harness.faults.clear()
    harness.processor.process(deliveries("a"))
    harness.clock.advance(minutes=1)
    harness.processor.retry_due()
    assert harness.effects() == ["a"]
    assert harness.count(TABLES.retries) == 0


def test_messages_without_message_id_have_separate_retries(harness: ConsumerHarness) -> None:
    harness.faults = {"a": Unavailable("Not yet."), "b": Unavailable("Not yet.")}
    harness.processor.process([delivery("", body=b"a"), delivery("", body=b"b")])
    harness.faults.clear()
    harness.clock.advance(minutes=1)
    harness.processor.retry_due()
    assert harness.effects() == ["a", "b"]


def test_message_is_dead_lettered_after_too_many_attempts(harness: ConsumerHarness) -> None:
    harness.faults["a"] = Unavailable("Never.")
    harness.processor.process(deliveries("a"))
    attempts = 1
    while harness.count(TABLES.retries):
        harness.clock.advance(minutes=10)
        attempts += harness.processor.retry_due()
    assert attempts == MOST_ATTEMPTS
    (parked,) = harness.dead_letters()
    assert parked.body == b"a"
    assert parked.headers["kopuro-reason"] == "Unavailable: Never."
    assert parked.headers["kopuro-first-seen"] == START.isoformat()
    assert parked.headers["kopuro-queue"] == "letters.1"


def test_retry_that_fails_permanently_is_dead_lettered(harness: ConsumerHarness) -> None:
    harness.faults["a"] = Unavailable("Not yet.")
    harness.processor.process(deliveries("a"))
    harness.faults["a"] = ValueError("never")
    harness.clock.advance(seconds=1)
    harness.processor.retry_due()
    assert len(harness.dead_letters()) == 1
    assert harness.count(TABLES.retries) == 0


def test_batch_without_database_raises_and_records_nothing(harness: ConsumerHarness) -> None:
    harness.faults["c"] = DatabaseUnavailable("The disk is full.")
    with pytest.raises(DatabaseUnavailable):
        harness.processor.process(deliveries("a", "b", "c"))
    assert harness.effects() == harness.answers() == []
    for table in (TABLES.inbox, TABLES.outbox, TABLES.retries):
        assert harness.count(table) == 0
    assert harness.commits == 0


def test_missing_table_pauses_consumer_without_dead_letters(harness: ConsumerHarness) -> None:
    with harness.database.write() as transaction:
        transaction.execute(text("ALTER TABLE effects RENAME TO effects_not_migrated_yet"))
    with pytest.raises(DatabaseUnavailable):
        harness.processor.process(deliveries("a", "b"))
    with harness.database.write() as transaction:
        transaction.execute(text("ALTER TABLE effects_not_migrated_yet RENAME TO effects"))
    assert harness.outbox() == []
    harness.processor.process(deliveries("a", "b"))
    assert harness.effects() == ["a", "b"]


def test_batch_whose_handler_raises_is_rolled_back(harness: ConsumerHarness) -> None:
    harness.faults["a"] = ValueError("after its effect was written and its answer given")
    harness.processor.process(deliveries("a"))
    assert harness.effects() == harness.answers() == []
    assert harness.count(TABLES.inbox) == 0


def test_empty_batch_changes_nothing(harness: ConsumerHarness) -> None:
    harness.processor.process([])
    assert harness.count(TABLES.inbox) == 0


def test_delays_double_up_to_ten_minutes() -> None:
    seconds = [delay_after(attempts).total_seconds() for attempts in range(1, MOST_ATTEMPTS)]
    assert seconds[:5] == [1, 2, 4, 8, 16]
    assert seconds[-1] == 600
    assert 40 * 60 < sum(seconds) < 80 * 60


def admit(
    database: Database, consumer: str, *ids: str, source: str = "/kg/post", at: dt.datetime = START
) -> set[str]:
    with database.write() as transaction:
        messages = [EventIdentity(source, id_) for id_ in ids]
        return {message.id for message in Inbox(TABLES.inbox).admit(transaction, consumer, messages, at)}


def test_inbox_knows_messages_per_consumer_until_pruned(harness: ConsumerHarness) -> None:
    database = harness.database
    assert admit(database, "one", "a", "b", "a") == {"a", "b"}
    assert admit(database, "one", "b", "c", at=START + dt.timedelta(days=1)) == {"c"}
    assert admit(database, "two", "a") == {"a"}
    assert admit(database, "one") == set()
    with database.write() as transaction:
        assert Inbox(TABLES.inbox).forget_before(transaction, START + dt.timedelta(hours=1), 10) == 3
        left = set(transaction.execute(select(TABLES.inbox.c.message_id)).scalars())
        assert left == {EventIdentity("/kg/post", "c").key}


def test_inbox_knows_the_messages_of_each_source(harness: ConsumerHarness) -> None:
    database = harness.database
    assert admit(database, "one", "a", source="/kg/intake") == {"a"}
    assert admit(database, "one", "a", "b", source="/kg/routing") == {"a", "b"}
    assert admit(database, "one", "a", "b", source="/kg/intake") == {"b"}
    assert admit(database, "one", "a", "b", source="/kg/routing") == set()


@pytest.mark.parametrize("id_", ["a", "x" * 60, "\ud800", "a\0", "ид"])
def test_key_of_a_message_fits_its_column_and_is_storable(id_: str) -> None:
    key = EventIdentity("/kg/post", id_).key
    assert len(key) <= 64
    assert key.isascii()
    assert key.isprintable()
    assert key != EventIdentity("/kg/test", id_).key


def test_inbox_row_of_an_earlier_build_is_known(harness: ConsumerHarness) -> None:
    with harness.database.write() as transaction:
        transaction.execute(insert(TABLES.inbox).values(consumer="one", message_id="a", received_at=START))
    assert admit(harness.database, "one", "a", "b") == {"b"}
    assert admit(harness.database, "two", "a") == {"a"}


@dataclass(frozen=True)
class _Event:
    """A message whose body is `source id`."""

    source: str
    id: str
    type: str = "kopuro.letter.posted.v1"
    time: dt.datetime = START


def _event(body: bytes) -> _Event:
    source, id_ = body.decode().split()
    return _Event(source, id_)


@pytest.fixture
def two_authors(database_url: str) -> Iterator[ConsumerHarness]:
    with opened(database_url) as database:
        yield ConsumerHarness(database, decode=_event)


def sent_by(author: str, id_: str) -> Delivery:
    body = f"/kg/{author} {id_}".encode()
    return replace(delivery(id_, body=body), headers=signed_body(body, author))


def test_id_used_by_another_author_does_not_block_the_message(two_authors: ConsumerHarness) -> None:
    for deliveries_ in ([sent_by("test", "x")], [sent_by("post", "x"), sent_by("test", "x")]):
        two_authors.processor.process(deliveries_)
    assert two_authors.effects() == ["x", "x"]
    two_authors.processor.process([sent_by("test", "y"), sent_by("post", "y")])
    assert two_authors.effects() == ["x", "x", "y", "y"]


def test_retries_of_two_authors_with_one_id_are_two(two_authors: ConsumerHarness) -> None:
    two_authors.faults["x"] = Unavailable("Not yet.")
    two_authors.processor.process([sent_by("test", "x"), sent_by("post", "x")])
    assert two_authors.count(TABLES.retries) == 2
    two_authors.clock.advance(minutes=1)
    assert two_authors.processor.retry_due() == 2
    assert two_authors.count(TABLES.retries) == 2
    two_authors.faults.clear()
    two_authors.clock.advance(minutes=1)
    two_authors.processor.retry_due()
    assert two_authors.effects() == ["x", "x"]
    assert two_authors.count(TABLES.retries) == 0


def test_retry_row_of_an_earlier_build_is_settled(harness: ConsumerHarness) -> None:
    with harness.database.write() as transaction:
        Retries(TABLES.retries, "letters").postpone(
            transaction, delivery("a"), attempts=1, reason="Not yet.", now=START
        )
    harness.faults["a"] = Unavailable("Not yet.")
    for _ in range(2):
        harness.clock.advance(minutes=1)
        assert harness.processor.retry_due() == 1
        harness.faults.clear()
    assert harness.effects() == ["a"]
    assert harness.count(TABLES.retries) == 0


def test_message_with_undecodable_properties_is_dead_lettered_at_once(harness: ConsumerHarness) -> None:
    lost = replace(delivery("b"), message_id="", headers={UNDECODABLE_PROPERTIES: "true"})
    harness.processor.process([delivery("a"), lost, delivery("c")])
    assert harness.effects() == ["a", "c"]
    (parked,) = harness.dead_letters()
    assert parked.body == b"b"
    assert parked.headers["kopuro-reason"] == "its AMQP properties cannot be decoded"


def test_inbox_accepts_batch_of_any_size(harness: ConsumerHarness) -> None:
    ids = [f"m{number}" for number in range(5_000)]
    assert admit(harness.database, "one", *ids[::2]) == set(ids[::2])
    assert admit(harness.database, "one", *ids) == set(ids[1::2])
