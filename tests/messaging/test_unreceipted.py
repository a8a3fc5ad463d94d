"""Copies of published events until audit's receipt, and what happens when no receipt comes."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from sqlalchemy.event import listen, remove

from admin.keys import signing_key
from contracts.envelope import Envelope, Event
from contracts.errors import Defect
from contracts.facts import EventsLogged, Fact, OfferAccepted
from contracts.signatures import SigningKey
from contracts.topology import CASES, DEAD_LETTERS, DIRECT, EVENTS, LOG, LOG_QUEUE, RECEIPTS, SNAPSHOTS
from runtime.identifiers import new_id
from runtime.messaging.inbox import KEPT
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox import unreceipted
from runtime.messaging.outbox.event_batch import decode_batch, encode_batch
from runtime.messaging.outbox.log_offers import REMEMBERED
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.outbox.receipt_watch import MOST_COUNTED, WINDOW, ReceiptWatch
from runtime.messaging.outbox.unreceipted import Unreceipted, digest_text
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.settings import RECEIPT_TIME
from runtime.storage.database import Database
from tests.messaging.consumer_harness import START, TABLES, HandClock


def event(fact: Fact | None = None, *, source: str = "/kg/routing") -> Event[Fact]:
    number = new_id()
    accepted = OfferAccepted(
        referral_id=number, offer_id=new_id(), organization="ru.one", sender="kg.osh-legal-aid"
    )
    return Event(
        id=number,
        source=source,
        time=START,
        partition_key=number,
        correlation_id=number,
        causation_id=None,
        data=fact or accepted,
    )


def batch(count: int) -> tuple[Outgoing, list[bytes]]:
    """Return a message of this number of events, and their bodies."""
    (message,) = encode_batch([outgoing(event()) for _ in range(count)])
    return message, decode_batch(message.body)


def names(bodies: Sequence[bytes]) -> list[str]:
    return [digest_text(body) for body in bodies]


class Author:
    """A service that publishes events: its watch with the relay and the receipts' consumer left out."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = HandClock()
        self.copies = Unreceipted()
        self.woken = 0
        self.watch = self.started()

    def started(self) -> ReceiptWatch:
        """Return the watch of a new process."""
        return ReceiptWatch(
            service="routing",
            database=self.database,
            outbox=Outbox(TABLES.outbox),
            clock=self.clock,
            metrics=MessagingMetrics(CollectorRegistry()),
            receipt_time=RECEIPT_TIME,
            wake=self._wake,
        )

    def confirm(self, *messages: Outgoing) -> None:
        with self.database.write() as transaction:
            self.watch.confirmed(transaction, messages)

    def receive(self, *digests: str, service: str = "routing") -> None:
        fact = EventsLogged(service=service, size=1, digests=digests)
        receipt = Envelope.decode(event(fact, source="/kg/audit").encode())
        with self.database.write() as transaction:
            assert list(self.watch.receipts(transaction, [receipt], self.clock.now())) == []

    def waiting(self) -> list[bytes]:
        """Return the events without a receipt, oldest first."""
        with self.database.read() as transaction:
            ever = START + dt.timedelta(days=3650)
            found = self.copies.due(transaction, ever, ever, 10_000)
        return [body for copy in found for body in decode_batch(copy.body)]

    def look(self, **after: float) -> list[bytes]:
        """Let the time pass and look; return the events that were offered to the log alone."""
        self.clock.advance(**after)
        self.watch.look()
        with self.database.write() as transaction:
            rows = Outbox(TABLES.outbox).oldest(transaction, 10_000)
            Outbox(TABLES.outbox).forget(transaction, [number for number, _ in rows])
        messages = [message for _, message in rows]
        assert {(message.exchange, message.routing_key) for message in messages} <= {(LOG, LOG_QUEUE)}
        # The relay confirms them: no second copy.
        self.confirm(*messages)
        return [body for message in messages for body in decode_batch(message.body)]

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def author(database: Database) -> Author:
    return Author(database)


def test_copy_is_kept_until_its_receipt(author: Author) -> None:
    message, bodies = batch(3)
    author.confirm(message)
    assert author.waiting() == bodies
    author.receive(*names(bodies))
    assert author.waiting() == []
    author.receive(*names(bodies))  # delivered again
    assert author.waiting() == []


def test_receipt_for_changed_bytes_drops_no_copy(author: Author) -> None:
    message, bodies = batch(1)
    author.confirm(message)
    changed = bodies[0].replace(b"ru.one", b"ru.two")
    assert changed != bodies[0]
    author.receive(*names([changed]))
    assert author.waiting() == bodies


def test_batch_receipted_in_parts_keeps_the_others(author: Author) -> None:
    message, bodies = batch(4)
    author.confirm(message)
    author.receive(*names(bodies[:2]))
    assert author.waiting() == bodies[2:]
    author.receive(*names(bodies[2:]))
    assert author.waiting() == []


def test_later_events_of_a_batch_are_offered_and_receipted_alone(author: Author) -> None:
    message, bodies = batch(3)
    author.confirm(message)
    author.receive(*names(bodies[1:]))  # audit parked the first event
    offered = author.look(minutes=15)
    assert sorted(offered) == sorted(bodies)
    author.receive(*names(bodies[1:]))
    assert author.waiting() == bodies[:1]


def test_copies_hold_the_events_of_the_log_and_nothing_sealed(author: Author) -> None:
    message, bodies = batch(1)
    elsewhere = [
        Outgoing(exchange=exchange, routing_key="k", message_id="m", partition_key="p", body=b"{}")
        for exchange in (CASES, DIRECT, LOG, DEAD_LETTERS, RECEIPTS, SNAPSHOTS)
    ]
    assert message.exchange == EVENTS
    author.confirm(*elsewhere, message)
    assert author.waiting() == bodies


def test_receipt_that_overtakes_its_copy_leaves_none(author: Author) -> None:
    message, bodies = batch(3)
    author.receive(*names(bodies[:2]))
    author.confirm(message)
    assert author.waiting() == bodies[2:]


def test_receipt_without_a_copy_is_remembered_for_a_minute(author: Author) -> None:
    message, bodies = batch(1)
    author.receive(*names(bodies))
    author.clock.advance(minutes=2)
    author.receive(*names(batch(1)[1]))
    author.confirm(message)
    assert author.waiting() == bodies


def test_message_confirmed_twice_has_one_copy(author: Author) -> None:
    message, bodies = batch(2)
    author.confirm(message)
    author.watch = author.started()  # another process had the relay
    author.confirm(message)
    assert author.waiting() == bodies


def signed(message: Outgoing) -> Outgoing:
    """Return the message as the relay confirms it."""
    return WaveSigner(SigningKey(signing_key(), STATEMENT_TYPE)).sign([message])[0]


def test_receipt_for_a_whole_message_deletes_its_copy_unread(author: Author) -> None:
    message, bodies = batch(3)
    author.confirm(signed(message))
    statements: list[str] = []
    engine = author.database._engine

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    listen(engine, "before_cursor_execute", note)
    try:
        author.receive(*names(bodies))
    finally:
        remove(engine, "before_cursor_execute", note)
    assert author.waiting() == []
    of_copies = [statement for statement in statements if "unreceipted" in statement]
    assert [statement.split()[0] for statement in of_copies] == ["DELETE"], of_copies


def test_receipt_for_a_part_of_a_signed_message_keeps_the_others(author: Author) -> None:
    message, bodies = batch(4)
    author.confirm(signed(message))
    author.receive(*names(bodies[:2]))
    assert author.waiting() == bodies[2:]
    author.receive(*names(bodies))
    assert author.waiting() == []


def test_receipt_deletes_each_copy_of_a_message_that_another_process_has_split(author: Author) -> None:
    message, bodies = batch(3)
    author.confirm(signed(message))
    writer, author.watch = author.watch, author.started()
    assert len(author.look(minutes=15)) == 3  # each event has a copy of its own now
    author.watch = writer
    author.receive(*names(bodies))
    assert author.waiting() == []


def test_receipt_after_a_confirmation_that_was_rolled_back_leaves_no_copy(author: Author) -> None:
    message, bodies = batch(2)
    with pytest.raises(ZeroDivisionError), author.database.write() as transaction:
        author.watch.confirmed(transaction, [signed(message)])
        raise ZeroDivisionError
    author.receive(*names(bodies))
    author.confirm(signed(message))  # published again
    assert author.waiting() == []


def test_copies_beyond_those_remembered_are_deleted_by_their_receipts(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreceipted, "MOST_REMEMBERED", 2)
    messages = [batch(2) for _ in range(4)]
    for message, _ in messages:
        author.confirm(signed(message))
    assert len(author.watch._copies._written) == 2
    author.receive(*[name for _, bodies in messages for name in names(bodies)])
    assert author.waiting() == []


def test_copies_that_are_forgotten_while_they_are_deleted_are_deleted(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL the relay runs while the statement of a receipt does."""

    class WithRelay:
        def run(self, transaction: Connection, firsts: list[str]) -> Any:
            author.watch._copies._written.clear()
            return delete_whole.run(transaction, firsts)

    message, bodies = batch(2)
    author.confirm(signed(message))
    delete_whole = unreceipted._DELETE_WHOLE
    monkeypatch.setattr(unreceipted, "_DELETE_WHOLE", WithRelay())
    author.receive(*names(bodies))
    assert author.waiting() == []
    assert author.watch._copies._early == {}


def test_receipt_of_another_service_is_refused(author: Author) -> None:
    message, bodies = batch(1)
    author.confirm(message)
    with pytest.raises(Defect):
        author.receive(*names(bodies), service="intake")
    assert author.waiting() == bodies


def test_overdue_event_is_offered_to_the_log_alone_with_the_same_bytes(author: Author) -> None:
    message, bodies = batch(2)
    author.confirm(message)
    assert author.look(minutes=14) == []
    assert author.watch.alarm() is None
    assert author.look(minutes=1) == bodies
    assert author.woken == 1
    assert author.waiting() == bodies


def test_overdue_event_is_logged_by_type_and_id_without_content(
    author: Author, caplog: pytest.LogCaptureFixture
) -> None:
    message, (body,) = batch(1)
    author.confirm(message)
    with caplog.at_level(logging.ERROR):
        author.look(minutes=15)
    (record,) = caplog.records
    said = Envelope.decode(body)
    assert (record.__dict__["event_type"], record.__dict__["message_id"]) == (said.type, said.id)
    assert "ru.one" not in str(record.__dict__)


def test_alarm_stays_a_day_after_the_receipt(author: Author) -> None:
    message, bodies = batch(2)
    author.confirm(message)
    author.look(minutes=15)
    author.look(minutes=1)
    assert author.watch.alarm() == (
        "2 published messages have no receipt from the log, the oldest for 16 min; "
        "2 events were offered to the log again, the last one at 2026-03-01T00:15:00Z"
    )
    author.receive(*names(bodies))
    author.look()
    alarm = author.watch.alarm()
    assert alarm is not None
    assert alarm.startswith("2 events were offered to the log again")
    author.look(seconds=REMEMBERED.total_seconds())
    assert author.watch.alarm() is None


def test_pause_between_offers_doubles_up_to_four_hours(author: Author) -> None:
    author.confirm(batch(1)[0])
    offers = [15 * n for n in range(1, 97) if author.look(minutes=15)]
    pauses = [later - earlier for earlier, later in itertools.pairwise(offers)]
    assert offers[0] == 15
    assert pauses == [15, 30, 60, 120, 240, 240, 240, 240, 240]


def test_messages_without_receipts_do_not_keep_others_from_being_offered(author: Author) -> None:
    first = [batch(1)[0] for _ in range(WINDOW)]
    author.confirm(*first)
    author.clock.advance(seconds=1)
    last, last_bodies = batch(1)
    author.confirm(last)
    assert len(author.look(minutes=15)) == WINDOW
    assert author.look(seconds=30) == []  # the log may be behind
    # None of the first is ever receipted.
    assert author.look(seconds=30) == last_bodies


def test_event_is_not_given_up_before_it_was_offered(author: Author) -> None:
    message, bodies = batch(1)
    author.confirm(message)
    # The hub was off, or a clock was wrong.
    assert author.look(seconds=2 * KEPT.total_seconds()) == bodies
    assert author.waiting() != []


def test_event_is_given_up_after_the_time_for_which_ids_are_known(
    author: Author, caplog: pytest.LogCaptureFixture
) -> None:
    message, (body,) = batch(1)
    author.confirm(message)
    author.look(minutes=15)
    caplog.clear()
    author.look(seconds=KEPT.total_seconds())
    assert author.waiting() == []
    assert [(r.message, r.__dict__["message_id"]) for r in caplog.records] == [
        ("event given up: the log does not have it", Envelope.decode(body).id)
    ]


def test_restarted_service_still_knows_its_overdue_events(author: Author) -> None:
    message, bodies = batch(1)
    author.confirm(message)
    author.watch = author.started()
    assert author.look(minutes=15) == bodies
    assert author.watch.alarm() is not None


def test_restarted_service_still_warns_of_events_that_were_offered_again(author: Author) -> None:
    message, bodies = batch(2)
    author.confirm(message)
    author.look(minutes=15)
    author.receive(*names(bodies))
    author.watch = author.started()
    assert author.look(minutes=1) == []
    said = "2 events were offered to the log again, the last one at 2026-03-01T00:15:00Z"
    assert author.watch.alarm() == said
    author.look(seconds=REMEMBERED.total_seconds())
    assert author.watch.alarm() is None


def test_offers_of_more_than_a_day_ago_are_not_counted(author: Author) -> None:
    for _ in range(2):
        message, bodies = batch(1)
        author.confirm(message)
        author.look(minutes=15)
        author.receive(*names(bodies))
        author.look(seconds=REMEMBERED.total_seconds())
    message, _ = batch(3)
    author.confirm(message)
    author.look(minutes=15)
    assert "3 events were offered to the log again" in str(author.watch.alarm())


def test_many_copies_are_counted_and_searched_once_a_minute(author: Author) -> None:
    """Audit has been away for a day: a count of millions of rows each second would slow the service down."""
    with author.database.write() as transaction:
        rows = [
            {
                "digest": f"{number:044}",
                "partition_key": "p",
                "body": b"",
                "published_at": START,
                "offers": 9,
                "due_at": START + dt.timedelta(days=3),
            }
            for number in range(MOST_COUNTED + 1)
        ]
        transaction.execute(TABLES.unreceipted.insert(), rows)
    author.clock.advance(hours=24)
    statements: list[str] = []
    engine = author.database._engine

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "unreceipted" in statement and "min(published_at)" not in statement:
            statements.append(statement)

    listen(engine, "before_cursor_execute", note)
    try:
        for _ in range(60):
            author.look(seconds=1)
    finally:
        remove(engine, "before_cursor_execute", note)
    assert len(statements) == 3, statements  # both counts, and the search for those that are due
    assert f"{MOST_COUNTED + 1} published messages have no receipt" in str(author.watch.alarm())
