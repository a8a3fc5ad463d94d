"""A log in a real database, and sample events."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.envelope import Envelope
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import Reader
from runtime.clock import Clock, SystemClock
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.audit.adapters.tables import ENTRIES, MESSAGING
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.domain.cover_rate import CoverRate
from services.audit.log.domain.head import Head, LogKey, origin_of
from services.audit.log.domain.note import Ed25519Signer
from services.audit.log.handlers.cover import Cover
from services.audit.log.handlers.noticed_damage import NoticedDamage
from services.audit.log.handlers.proofs import Proofs
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.handlers.publisher import LogPublisher
from services.audit.log.handlers.receipts import Receipts
from services.audit.log.handlers.self_check import SelfCheck
from services.audit.log.handlers.sequencer import Sequencer
from services.audit.log.ports import LogPublication
from services.audit.reports.handlers.history import History
from tests.support.migrated import upgrade
from tests.unit.services.audit.publications import MemoryPublication

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def auditor(name: str) -> Reader:
    """Return an auditor who reads with a client of the same name."""
    return Reader(id=name, client_id=f"{name}-client", roles=("auditor",))


def new_key(hub: str = "kg") -> LogKey:
    signer = Ed25519Signer(name=origin_of(hub), private_key=Ed25519PrivateKey.generate())
    return LogKey(signer=signer)


@contextmanager
def audit_database(url: str) -> Iterator[Database]:
    """Open the database in audit's schema."""
    database = Database.open(url)
    upgrade("services.audit", database)
    yield database
    database.close()


def empty_log(database: Database) -> LogOnDatabase:
    """Return a new log that has passed its check at start."""
    log = LogOnDatabase(database=database, key=new_key())
    log.check()
    return log


def event(
    type: str = "kopuro.offer.opened.v1",
    *,
    data: Mapping[str, Any] | None = None,
    id: str | None = None,
    partition_key: str = "no-referral",
    time: dt.datetime = NOON,
    source: str = "/kg/routing",
) -> Envelope:
    number = id or new_id()
    return Envelope(
        id=number,
        source=source,
        type=type,
        time=time,
        partition_key=partition_key,
        correlation_id=number,
        causation_id=None,
        traceparent=None,
        data=data or {},
        body=b"",
    )


def events(count: int) -> list[Envelope]:
    return [event(data={"number": n}) for n in range(count)]


class AlwaysHeldLease:
    """A lease without competitors."""

    def held(self) -> bool:
        return True


@dataclass(kw_only=True)
class LogOnDatabase:
    """The audit handlers of one process on a database."""

    database: Database
    key: LogKey
    publication: LogPublication = field(default_factory=MemoryPublication)
    woken: int = 0
    rate: CoverRate | None = None
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.noticed = NoticedDamage()
        self.log = SqlLog(self.noticed.note)
        self.sequencer = Sequencer(
            self.log,
            self.key,
            os.urandom,
            SqlClosures(),
            SqlDueReceipts(),
            covered=self.rate is not None,
        )
        self.record = SqlPublicationRecord()
        self.published = PublishedLog(self.publication, self.key)
        self.proofs = Proofs(self.database, self.log, self.published)
        self.history = History(
            database=self.database,
            log=self.log,
            published=self.published,
            record=ReadRecorder(
                database=self.database,
                outbox=Outbox(MESSAGING.outbox),
                source="/kg/audit",
                clock=SystemClock(),
                after_commit=self.wake,
            ),
            clock=SystemClock(),
        )
        self.publisher = LogPublisher(
            database=self.database,
            log=self.log,
            record=self.record,
            publication=self.publication,
            published=self.published,
            lease=AlwaysHeldLease(),
            outbox=Outbox(MESSAGING.outbox),
            after_publish=Receipts(
                log=self.log, published=self.published, source="/kg/audit", clock=SystemClock()
            ),
            after_commit=self.wake,
            times=None if self.rate is None else self._cover(self.rate),
        )

    def _cover(self, rate: CoverRate) -> Cover:
        return Cover(
            database=self.database,
            log=self.log,
            sequencer=self.sequencer,
            rate=rate,
            source="/kg/audit",
            clock=self.clock,
        )

    def wake(self) -> None:
        self.woken += 1

    def check(self) -> Head:
        head = SelfCheck(self.database, self.log, self.key, SystemClock()).run()
        self.publisher.begin(head)
        return head

    def publish(self, messages: Sequence[Envelope]) -> None:
        """Append and publish."""
        self.append(messages)
        self.publisher.turn()

    def append(self, messages: Sequence[Envelope], now: dt.datetime = NOON) -> None:
        with self.database.write() as transaction:
            assert list(self.sequencer.append(transaction, messages, now)) == []

    def message_ids(self) -> list[str]:
        """Return the message ids in log order, after checking that there are no gaps."""
        with self.database.read() as transaction:
            rows = transaction.execute(ENTRIES.select().order_by(ENTRIES.c.leaf_index)).all()
        assert [row.leaf_index for row in rows] == list(range(len(rows)))
        return [row.message_id for row in rows]

    def recorded_reads(self) -> list[Envelope]:
        """Return the events in the outbox, oldest first."""
        with self.database.read() as transaction:
            waiting = Outbox(MESSAGING.outbox).oldest(transaction, 1000)
        return [Envelope.decode(event) for _, message in waiting for event in decode_batch(message.body)]
