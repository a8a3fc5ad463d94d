"""A small consumer for messaging tests: tables, a recording handler and a manual clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Column, Connection, MetaData, String, Table, func, insert, select

from contracts.records import Malformed
from runtime.messaging.batches import BatchProcessor, Identified
from runtime.messaging.clocks import Clocks
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.retries import consumers_due
from runtime.messaging.signatures.verifier import FactVerifier
from runtime.messaging.tables import messaging_tables, replica_changes_table, replica_table
from runtime.storage.database import Database
from tests.support.hub_keys import HUB, SERVICES, manifest, signed_body

METADATA = MetaData()
TABLES = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)
CHANGES = replica_changes_table(METADATA)
# No primary key, so that a duplicate effect shows as two rows.
EFFECTS = Table("effects", METADATA, Column("message_id", String(64), nullable=False))

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SECRET = "Aigerim-Toktogulova"


class HandClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> dt.datetime:
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += dt.timedelta(**duration)


AUTHOR = "post"
VERIFIER = FactVerifier(manifest(HUB, (*SERVICES, AUTHOR, "test")), owners=lambda _: {AUTHOR, "test"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A message of the service AUTHOR."""

    id: str
    source: str = f"/{HUB}/{AUTHOR}"
    type: str = "kopuro.letter.posted.v1"
    time: dt.datetime = START


def decode(body: bytes) -> Letter:
    """Return the message whose id is the body."""
    if body.startswith(b"\xff"):
        raise Malformed("not a letter")
    return Letter(id=body.decode())


def answer_to(letter: Identified) -> Outgoing:
    return Outgoing(
        exchange="",
        routing_key="answers",
        message_id=f"answer-{letter.id}",
        partition_key=letter.id,
        body=letter.id.encode(),
    )


def delivery(id_: str, *, tag: int = 1, body: bytes | None = None) -> Delivery:
    content = id_.encode() if body is None else body
    return Delivery(
        tag=tag,
        queue="letters.1",
        routing_key="letter.posted",
        message_id=id_,
        body=content,
        headers={"partitionkey": f"key of {id_}", **signed_body(content, AUTHOR)},
        redelivered=False,
    )


def deliveries(*ids: str) -> list[Delivery]:
    return [delivery(id_, tag=tag) for tag, id_ in enumerate(ids, 1)]


class ConsumerHarness:
    """The consumer `letters`: each message writes one effect and puts one answer into the outbox.

    faults: the error to raise for a message id, after its effect was written.
    """

    def __init__(
        self,
        database: Database,
        decode: Callable[[bytes], Identified] = decode,
        *,
        fault: Callable[[Delivery, Any], str | None] = lambda _delivery, _message: None,
        verifier: FactVerifier = VERIFIER,
    ) -> None:
        self.database = database
        self.clock = HandClock()
        self.clocks = Clocks()
        self.faults: dict[str, Exception] = {}
        self.commits = 0
        self.registry = CollectorRegistry()
        self.processor = BatchProcessor(
            "letters",
            ["letters.1"],
            database=database,
            tables=TABLES,
            verifier=verifier,
            decode=decode,
            handler=self.handle,
            clock=self.clock,
            clocks=self.clocks,
            metrics=MessagingMetrics(self.registry),
            after_commit=self._committed,
            fault=fault,
        )
        with database.write() as connection:
            METADATA.create_all(connection)

    def handle(
        self, transaction: Connection, letters: Sequence[Identified], now: dt.datetime
    ) -> Iterable[Outgoing]:
        for letter in letters:
            transaction.execute(insert(EFFECTS), {"message_id": letter.id})
            yield answer_to(letter)
            if letter.id in self.faults:
                raise self.faults[letter.id]

    def consumers_due(self) -> set[str]:
        with self.database.read() as connection:
            return consumers_due(connection, ["receipts", self.processor.consumer], self.clock.now())

    def effects(self) -> list[str]:
        with self.database.read() as connection:
            return sorted(connection.execute(select(EFFECTS.c.message_id)).scalars())

    def outbox(self) -> list[Outgoing]:
        with self.database.read() as connection:
            return [message for _, message in Outbox(TABLES.outbox).oldest(connection, 10_000)]

    def answers(self) -> list[str]:
        return sorted(m.body.decode() for m in self.outbox() if m.routing_key == "answers")

    def dead_letters(self) -> list[Outgoing]:
        return [m for m in self.outbox() if m.routing_key == "letters.parked"]

    def count(self, table: Table) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()

    def figure(self, result: str) -> float | None:
        labels = {"consumer": "letters", "result": result}
        return self.registry.get_sample_value("kopuro_messages_consumed_total", labels)

    def _committed(self) -> None:
        self.commits += 1


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Database]:
    database = Database.open(url, **options)
    try:
        yield database
    finally:
        database.close()


def fill_outbox(database: Database, ids: Sequence[str], *, queue: str = "answers") -> None:
    """Add a message for each id in one transaction; none of them can be batched."""
    with database.write() as transaction:
        Outbox(TABLES.outbox).add(
            transaction,
            [
                Outgoing(exchange="", routing_key=queue, message_id=id_, partition_key="p", body=b"[]")
                for id_ in ids
            ],
        )


def waiting(database: Database) -> list[str]:
    """Return the ids in the outbox, oldest first."""
    with database.read() as connection:
        return [m.message_id for _, m in Outbox(TABLES.outbox).oldest(connection, 100_000)]
