"""Replicas: persistent local copies of another service's records, updated by its full-state events.

At the first start, a service asks the owner to send every record to its queue; the owner's ordinary events
update the replica afterwards. An older revision of a record never overwrites a newer one, so the snapshot and
the live events may arrive in any order. `/readyz` returns 503 until the snapshot is complete.

A row that this service did not write for a verified message has no valid code (`row_code`). `ReplicaView`
never uses such a row, and it is deleted once the owner has sent all its records. The codes do not reveal an
earlier row that was put back, nor that a row was deleted.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite

from contracts.envelope import Envelope, Event
from contracts.facts import Fact, ReplicaCompleted, ReplicaRequested
from contracts.records import canonical
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.messaging.row_code import has_code, row_code
from runtime.storage.database import Database

_log = logging.getLogger(__name__)

# The type of the row that says that the snapshot is complete.
STATE = "kopuro.replica.state"
INCOMPLETE = "The replica of the directory is not complete yet."
_MOST_CHANGES = 1 << 62


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaRecord:
    """One record of a replica. data: the event's data as JSON values."""

    type: str
    key: str
    change: int
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaChanges:
    """Records with a valid code, and the type and key of rows without one."""

    records: Sequence[ReplicaRecord]
    refused: Sequence[tuple[str, str]]


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
        secret: Callable[[], bytes],
        kinds: Collection[str] = (),
        history: ReplicaHistory | None = None,
    ) -> None:
        """secret: returns the key of the rows' codes, which is not in the database.

        kinds: the routing keys that the queue is bound to. history: where to record the changes.
        """
        self._secret = secret
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
            .where(table.c.change > bindparam("known"), table.c.type != STATE)
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
        secret = self._secret()
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
            row = {
                "type": STATE if completed else message.type,
                "key": self._state_key if completed else message.partition_key,
                "revision": change if completed else message.data["revision"],
                "change": change,
                "data": message.data,
            }
            rows.append({**row, "code": row_code(secret, row)})
        upsert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        statement = upsert(self._table)
        replaced = {name: statement.excluded[name] for name in ("revision", "change", "data", "code")}
        same = [self._table.c.type, self._table.c.key]
        newer = statement.on_conflict_do_update(
            index_elements=same, set_=replaced, where=statement.excluded.revision > self._table.c.revision
        )
        always = statement.on_conflict_do_update(index_elements=same, set_=replaced)
        # one by one: a batch may contain the same record twice
        for row, (message, fact) in zip(rows, facts, strict=True):
            is_newer = transaction.execute(newer, row).rowcount == 1
            if not is_newer and not self._is_own(transaction, row, secret):
                # The revision of a row without a valid code does not count.
                transaction.execute(always, row)
                is_newer = True
            if isinstance(fact, ReplicaCompleted):
                self._discard_foreign(transaction, fact.records, secret)
            if is_newer and self._history is not None:
                self._history.add(transaction, row["change"], message, fact)
        return ()

    def ensure_requested(self, database: Database, outbox: Outbox, now: dt.datetime) -> None:
        """Request a snapshot from the owner unless the replica is complete. A second request is harmless."""
        with database.write() as transaction:
            if not self.is_complete(transaction):
                self.request(transaction, outbox, now)

    def request(self, transaction: Connection, outbox: Outbox, now: dt.datetime) -> None:
        """Request a snapshot from the owner."""
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

    def newer_than(self, transaction: Connection, change: int) -> ReplicaChanges:
        """Return the records that changed after the given change, oldest change first."""
        records: list[ReplicaRecord] = []
        refused: list[tuple[str, str]] = []
        secret = self._secret()
        for row in transaction.execute(self._newer, {"known": change}).mappings():
            if has_code(secret, dict(row)):
                record = ReplicaRecord(
                    type=row["type"], key=row["key"], change=row["change"], data=row["data"]
                )
                records.append(record)
            else:
                refused.append((row["type"], row["key"]))
        return ReplicaChanges(records=records, refused=refused)

    def unready(self, database: Database) -> str | None:
        """Return None once the snapshot is complete, else the reason (a readiness check)."""
        if not self._complete:
            with database.read() as transaction:
                self._complete = self.is_complete(transaction)
        return None if self._complete else INCOMPLETE

    def is_complete(self, transaction: Connection) -> bool:
        """Return whether the snapshot is complete, with codes of the present key."""
        table = self._table
        wanted = select(table).where(table.c.type == STATE, table.c.key == self._state_key)
        state = transaction.execute(wanted).mappings().first()
        return state is not None and has_code(self._secret(), dict(state))

    def _is_own(self, transaction: Connection, row: Mapping[str, Any], secret: bytes) -> bool:
        """Return whether the stored row of the same record has a valid code."""
        table = self._table
        wanted = select(table).where(table.c.type == row["type"], table.c.key == row["key"])
        return has_code(secret, dict(transaction.execute(wanted).mappings().one()))

    def _discard_foreign(self, transaction: Connection, sent: int, secret: bytes) -> None:
        """Delete what has no valid code although the owner has sent all its records.

        sent: their number. If fewer have a valid code, some came under an earlier key, or a row was forged
        meanwhile: then none is deleted, and the next snapshot replaces them.
        """
        table = self._table
        foreign: list[tuple[str, str]] = []
        valid = 0
        for row in transaction.execute(select(table).where(table.c.type != STATE)).mappings():
            if has_code(secret, dict(row)):
                valid += 1
            else:
                foreign.append((row["type"], row["key"]))
        if valid < sent:
            return
        for type, key in foreign:
            _log.error("deleted a record of the replica that the owner did not send", extra={"record": type})
            transaction.execute(delete(table).where(table.c.type == type, table.c.key == key))

    def _latest_change(self, transaction: Connection) -> int:
        # A number that no process reaches was written by somebody else: the next one would not fit.
        ours = self._table.c.change < _MOST_CHANGES
        latest = select(func.coalesce(func.max(self._table.c.change), 0)).where(ours)
        return int(transaction.execute(latest).scalar_one())
