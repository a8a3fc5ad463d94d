"""Receipts to authors: whose events, for which bytes, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from contracts import base64_text
from contracts.envelope import Envelope
from contracts.facts import EventsLogged
from contracts.topology import RECEIPTS
from runtime.clock import SystemClock
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.signatures.statement import digest
from runtime.storage.database import Database
from services.audit.adapters.tables import DUE_RECEIPTS, MESSAGING, OPENINGS
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.domain.entry import EntryError
from services.audit.log.handlers import author_receipts
from services.audit.log.handlers.author_receipts import AuthorReceipts
from tests.unit.services.audit.logs import LogOnDatabase, event

Sent = list[tuple[str, int, list[str]]]


def said(**members: object) -> Envelope:
    """Return an event with a body of its own."""
    made = event(**members)  # type: ignore[arg-type]  # the members of `event`
    return replace(made, body=made.id.encode() + str(made.data).encode())


def names(messages: Sequence[Envelope]) -> list[str]:
    return [base64_text.encoded(digest(message.body)) for message in messages]


def sent(database: Database, audit: LogOnDatabase, *, works: bool = True) -> Sent:
    """Take a turn; return each receipt's service, size and digests."""
    outbox = Outbox(MESSAGING.outbox)
    AuthorReceipts(
        database=database,
        due=SqlDueReceipts(),
        published=audit.published,
        works=lambda: works,
        outbox=outbox,
        source="/kg/audit",
        clock=SystemClock(),
        after_commit=audit.wake,
    ).turn()
    with database.write() as transaction:
        rows = outbox.oldest(transaction, 1000)
        outbox.forget(transaction, [number for number, _ in rows])
    found: Sent = []
    for _, message in rows:
        for body in decode_batch(message.body):
            receipt = Envelope.decode(body)
            assert receipt.type == EventsLogged.type
            service = receipt.data["service"]
            assert (message.exchange, message.routing_key) == (RECEIPTS, f"{service}.receipts")
            found.append((service, receipt.data["size"], receipt.data["digests"]))
    return found


def test_each_author_gets_one_receipt_once_the_log_is_published(
    database: Database, audit: LogOnDatabase
) -> None:
    first, other, second = said(), said(source="/kg/vault"), said()
    audit.append([first, other])
    audit.append([second])
    assert sent(database, audit) == []
    audit.publisher.turn()
    assert sent(database, audit, works=False) == []
    assert sorted(sent(database, audit)) == [
        ("routing", 3, names([first, second])),
        ("vault", 3, names([other])),
    ]
    assert sent(database, audit) == []


def test_entry_behind_the_published_checkpoint_gets_no_receipt(
    database: Database, audit: LogOnDatabase
) -> None:
    first, second = said(), said()
    audit.publish([first])
    audit.append([second])
    assert sent(database, audit) == [("routing", 1, names([first]))]
    audit.publisher.turn()
    assert sent(database, audit) == [("routing", 2, names([second]))]


def test_operators_event_gets_no_receipt(database: Database, audit: LogOnDatabase) -> None:
    audit.publish([said(source="/kg/operations")])
    assert sent(database, audit) == []


def test_rolled_back_batch_gets_no_receipt(database: Database, audit: LogOnDatabase) -> None:
    with pytest.raises(EntryError):
        audit.append([said(), said(source="nowhere")])
    with database.read() as transaction:
        assert transaction.execute(DUE_RECEIPTS.select()).all() == []


def test_repeated_event_gets_another_receipt(database: Database, audit: LogOnDatabase) -> None:
    first, second = said(data={"organization": "ru.one"}), said()
    audit.publish([first])
    assert sent(database, audit) == [("routing", 1, names([first]))]
    audit.publish([first])  # nothing new to publish
    assert sent(database, audit) == [("routing", 1, names([first]))]
    audit.publish([second, first, second])
    ((service, size, digests),) = sent(database, audit)
    assert (service, size, set(digests)) == ("routing", 2, set(names([first, second])))


def test_event_with_the_id_of_another_entry_gets_no_receipt(database: Database, audit: LogOnDatabase) -> None:
    first = said(data={"organization": "ru.one"})
    audit.publish([first])
    sent(database, audit)
    audit.publish(
        [
            said(id=first.id, data={"organization": "ru.two"}),
            said(id=first.id, data=first.data, type="kopuro.offer.revoked.v1"),
        ]
    )
    assert sent(database, audit) == []


def test_event_with_the_id_of_another_author_is_an_entry_of_its_own(
    database: Database, audit: LogOnDatabase
) -> None:
    first = said(data={"organization": "ru.one"})
    other = said(id=first.id, data=first.data, source="/kg/vault")
    audit.publish([first])
    sent(database, audit)
    audit.publish([other])
    assert sent(database, audit) == [("vault", 2, names([other]))]


def test_repeated_event_with_erased_content_gets_a_receipt(database: Database, audit: LogOnDatabase) -> None:
    first = said(data={"organization": "ru.one"})
    audit.publish([first])
    sent(database, audit)
    with database.write() as transaction:
        transaction.execute(OPENINGS.delete())
    audit.publish([said(id=first.id, data=first.data, type="kopuro.offer.revoked.v1")])
    assert sent(database, audit) == []
    audit.publish([first])
    assert sent(database, audit) == [("routing", 1, names([first]))]


def test_repeated_event_with_rewritten_content_gets_no_receipt(
    database: Database, audit: LogOnDatabase
) -> None:
    first = said(data={"organization": "ru.one"})
    audit.publish([first])
    sent(database, audit)
    with database.write() as transaction:
        transaction.execute(OPENINGS.update().values(data={"organization": "ru.two"}))
    audit.publish([first])
    assert sent(database, audit) == []


def test_receipt_message_is_limited(
    database: Database, audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(author_receipts, "MOST_LOGGED", 2)
    monkeypatch.setattr(author_receipts, "TAKEN_AT_A_TIME", 2)
    messages = [said() for _ in range(5)]
    for message in messages:
        audit.append([message])
    audit.publisher.turn()
    receipts = sent(database, audit)
    assert [len(digests) for _, _, digests in receipts] == [2, 2, 1]
    assert [one for _, _, digests in receipts for one in digests] == names(messages)
