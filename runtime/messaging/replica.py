"""Replicas: persistent local copies of another service's records, updated by its full-state events.

At the first start, a service asks the owner to send every record to its queue; the owner's ordinary events
update the replica afterwards. An older revision of a record never overwrites a newer one, so the snapshot and
the live events may arrive in any order. `/readyz` returns 503 until the snapshot is complete.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite

from contracts.envelope import Envelope, Event
from contracts.facts import Fact, ReplicaCompleted, ReplicaRequested
from contracts.records import canonical
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database

_STATE = "kopuro.replica.state"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaRecord:
    """One record of a replica. data: the event's data as JSON values."""

    type: str
    key: str
    change: int
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaHistory:
    """An append-only table of a replica's changes, for a service that must name earlier states.

    table: see `replica_changes_table`. entry_of: returns the whole entry that a fact carries, or None for a
    fact that the history leaves out.
    """

    table: Table
    entry_of: Callable[[Fact], object | None]

    def add(self, transaction: Connection, change: int, message: Envelope, fact: Fact) -> None:
        """Record that the replica took this message."""
        entry = self.entry_of(fact)
        if entry is not None:
            row = {
                "change": change,
                "type": message.type,
                "key": message.partition_key,
                "revision": message.data["revision"],
                "digest": entry_digest(entry),
            }
            transaction.execute(insert(self.table), row)


def entry_digest(entry: object) -> str:
    """Return the hexadecimal SHA-256 of a record, the same in later versions (`records.canonical`)."""
    return sha256(canonical(entry)).hexdigest()


class Replica:
    """A replica in the database, written by the consumer of `queue`."""

    def __init__(
        self,
        table: Table,
        *,
        queue: str,
        source: str,
        kinds: Collection[str] = (),
        history: ReplicaHistory | None = None,
    ) -> None:
        """kinds: the routing keys that the queue is bound to. history: where to record the changes."""
        self._history = history
        self._table = table
        self._queue = queue
        self._source = source
        # Contains the kinds: when a later version binds the queue to one more kind, the old snapshot lacks
        # those records, and the replica needs a new one.
        self._state_key = " ".join((queue, *sorted(kinds)))
        self._complete = False
        # Built once: every process asks for changes every second.
        self._newer = (
            select(table)
            .where(table.c.change > bindparam("known"), table.c.type != _STATE)
            .order_by(table.c.change)
        )

    def apply(
        self, transaction: Connection, messages: Sequence[Envelope], now: dt.datetime
    ) -> Sequence[Outgoing]:
        """Store the records that are newer than the replica's (a `batches.BatchHandler`)."""
        if transaction.dialect.name == "postgresql":
            # Two writers (while the active consumer changes) must not assign the same change numbers, nor
            # commit out of order: a reader that has seen a higher number never reads lower ones.
            transaction.execute(text(f"LOCK TABLE {self._table.name} IN SHARE ROW EXCLUSIVE MODE"))
        change = self._latest_change(transaction)
        rows: list[dict[str, Any]] = []
        facts: list[tuple[Envelope, Fact]] = []
        for message in messages:
            change += 1
            # Raises Malformed, which dead-letters the message: an unreadable record in the replica would fail
            # the process now and at every later start.
            fact = message.event().data
            completed = message.type == ReplicaCompleted.type
            facts.append((message, fact))
            rows.append(
                {
                    "type": _STATE if completed else message.type,
                    "key": self._state_key if completed else message.partition_key,
                    "revision": change if completed else message.data["revision"],
                    "change": change,
                    "data": message.data,
                }
            )
        upsert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        statement = upsert(self._table)
        newer = statement.on_conflict_do_update(
            index_elements=[self._table.c.type, self._table.c.key],
            set_={name: statement.excluded[name] for name in ("revision", "change", "data")},
            where=statement.excluded.revision > self._table.c.revision,
        )
        # one by one: a batch may contain the same record twice
        for row, (message, fact) in zip(rows, facts, strict=True):
            is_newer = transaction.execute(newer, row).rowcount == 1
            if is_newer and self._history is not None:
                self._history.add(transaction, row["change"], message, fact)
        return ()

    def ensure_requested(self, database: Database, outbox: Outbox, now: dt.datetime) -> None:
        """Request a snapshot from the owner unless the replica is complete. A second request is harmless."""
        with database.write() as transaction:
            if self._is_complete(transaction):
                return
            request = Event(
                id=(number := new_id()),
                source=self._source,
                time=now,
                partition_key=self._queue,
                correlation_id=number,
                causation_id=None,
                data=ReplicaRequested(queue=self._queue),
            )
            outbox.add(transaction, [outgoing(request)])

    def newer_than(self, transaction: Connection, change: int) -> list[ReplicaRecord]:
        """Return the records that changed after the given change, oldest change first."""
        rows = transaction.execute(self._newer, {"known": change})
        return [ReplicaRecord(type=r.type, key=r.key, change=r.change, data=r.data) for r in rows]

    def unready(self, database: Database) -> str | None:
        """Return None once the snapshot is complete, else the reason (a readiness check)."""
        if not self._complete:
            with database.read() as transaction:
                self._complete = self._is_complete(transaction)
        return None if self._complete else "The replica of the directory is not complete yet."

    def _is_complete(self, transaction: Connection) -> bool:
        table = self._table
        state = select(table.c.key).where(table.c.type == _STATE, table.c.key == self._state_key)
        return transaction.execute(state).first() is not None

    def _latest_change(self, transaction: Connection) -> int:
        latest = select(func.coalesce(func.max(self._table.c.change), 0))
        return int(transaction.execute(latest).scalar_one())


class ReplicaView:
    """A service's in-memory view of its replica. It follows the table, whichever process writes it."""

    def __init__(
        self, database: Database, replica: Replica, absorb: Callable[[Sequence[ReplicaRecord]], None]
    ) -> None:
        """absorb: receives the new and changed records."""
        self._database = database
        self._replica = replica
        self._absorb = absorb
        self._seen = 0
        # The consumer and the timer both refresh; the slower one must not restore older records.
        self._refreshing = threading.Lock()

    def refresh(self) -> None:
        """Absorb the changes since the last call. Cheap when there are none."""
        with self._refreshing:
            with self._database.read() as transaction:
                records = self._replica.newer_than(transaction, self._seen)
            if records:
                self._absorb(records)
                self._seen = records[-1].change
