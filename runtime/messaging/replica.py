"""Replicas: persistent local copies of another service's records, updated by its full-state events.

At the first start, a service asks the owner to send every record to its queue; the owner's ordinary events
update the replica afterwards. An older revision of a record never overwrites a newer one, so the snapshot and
the live events may arrive in any order. `/readyz` returns 503 until the snapshot is complete.

A row that this service did not write for a verified message has no valid code (`row_code`). `ReplicaView`
never uses such a row, and it is deleted once the owner has sent all its records. The codes do not reveal an
earlier row that was put back, nor that a row was deleted; `ReplicaComparison` does while the process runs.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import (
    Connection,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    text,
    type_coerce,
)
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
# From here on, a change number counts only in a row with a valid code. No process reaches such a number, so
# somebody else has probably written it. And after the last number of the column none would follow.
_MOST_CHANGES = 1 << 62

# The type and the key of a record.
RecordId = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaRecord:
    """One record of a replica. data: the event's data as JSON values."""

    type: str
    key: str
    change: int
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class AbsorbedRow:
    """A row with a valid code, without its data. secret: the key of the code."""

    id: RecordId
    change: int
    revision: int
    code: bytes
    secret: bytes

    def is_stored_as(self, row: Mapping[str, Any]) -> bool:
        """Return whether the stored row is this one: its code covers all other columns."""
        return row["code"] == self.code and has_code(self.secret, row)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaChanges:
    """Records with a valid code and their rows, and the rows without one."""

    records: Sequence[ReplicaRecord]
    rows: Sequence[AbsorbedRow]
    refused: Sequence[RecordId]


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
            upsert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
            statement = upsert(self.table)
            # A row that somebody else has written in advance must not keep the record out of the replica.
            replaced = {name: statement.excluded[name] for name in row if name != "change"}
            transaction.execute(
                statement.on_conflict_do_update(index_elements=[self.table.c.change], set_=replaced), row
            )


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
        # The highest change number that this process has assigned or read in a valid row. An attacker who
        # deletes rows or rewrites their numbers must not make the next numbers lower than those that views
        # have seen.
        self._highest = 0
        # `data` as it is stored: the text may be no JSON.
        columns = [
            column if column.name != "data" else type_coerce(column, Text).label("data") for column in table.c
        ]
        self._rows = select(*columns)
        # Built once: every process asks for changes every second.
        self._newer = self._rows.where(table.c.change > bindparam("known"), table.c.type != STATE).order_by(
            table.c.change
        )
        self._between = (
            self._rows.where(
                table.c.change.between(bindparam("first"), bindparam("last")), table.c.type != STATE
            )
            .order_by(table.c.change)
            .limit(bindparam("most"))
        )
        self._one = self._rows.where(table.c.type == bindparam("type"), table.c.key == bindparam("key"))

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
        # Also if the transaction fails: numbers may be left out.
        self._highest = max(self._highest, change)
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
            if isinstance(fact, ReplicaCompleted):
                transaction.execute(always, row)
                self._discard_foreign(transaction, fact.records)
                continue
            is_newer = transaction.execute(newer, row).rowcount == 1
            if not is_newer and not self._is_own(transaction, row):
                # The revision of a row without a valid code does not count.
                transaction.execute(always, row)
                is_newer = True
            if is_newer and self._history is not None:
                self._history.add(transaction, row["change"], message, fact)
        return ()

    def ensure_requested(self, database: Database, outbox: Outbox, now: dt.datetime) -> None:
        """Request a snapshot from the owner unless the replica is complete. A second request is harmless."""
        with database.read() as transaction:
            if self.is_complete(transaction):
                return
        with database.write() as transaction:
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
        rows: list[AbsorbedRow] = []
        refused: list[RecordId] = []
        secret = self._secret()
        for row in self._parsed(transaction, self._newer, known=change):
            if has_code(secret, row):
                record = ReplicaRecord(
                    type=row["type"], key=row["key"], change=row["change"], data=row["data"]
                )
                records.append(record)
                absorbed = AbsorbedRow(
                    id=(record.type, record.key),
                    change=record.change,
                    revision=row["revision"],
                    code=bytes(row["code"]),
                    secret=secret,
                )
                rows.append(absorbed)
            else:
                refused.append((str(row["type"]), str(row["key"])))
        if records:
            self._highest = max(self._highest, records[-1].change)
        return ReplicaChanges(records=records, rows=rows, refused=refused)

    @property
    def secret(self) -> bytes:
        """The present key of the rows' codes."""
        return self._secret()

    def rows_between(
        self, transaction: Connection, first: int, last: int, most: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return the first rows with these change numbers, whether their codes are valid or not."""
        return list(self._parsed(transaction, self._between, first=first, last=last, most=most))

    def row_of(self, transaction: Connection, id: RecordId) -> Mapping[str, Any] | None:
        """Return the stored row of a record, whether its code is valid or not; None if there is none."""
        return next(iter(list(self._parsed(transaction, self._one, type=id[0], key=id[1]))), None)

    def is_valid(self, row: Mapping[str, Any]) -> bool:
        """Return whether a stored row has the code that the present key makes of it."""
        return has_code(self._secret(), row)

    def unready(self, database: Database) -> str | None:
        """Return None once the snapshot is complete, else the reason (a readiness check)."""
        if not self._complete:
            with database.read() as transaction:
                self.has_been_complete(transaction)
        return None if self._complete else INCOMPLETE

    def has_been_complete(self, transaction: Connection) -> bool:
        """Return whether the snapshot is complete, or was at an earlier call. Cheap once it was."""
        if not self._complete:
            self._complete = self.is_complete(transaction)
        return self._complete

    def is_complete(self, transaction: Connection) -> bool:
        """Return whether a snapshot has arrived, and as many records as it had have valid codes."""
        sent = self._sent(transaction)
        if sent is None:
            return False
        records = self._rows.where(self._table.c.type != STATE)
        return sum(is_valid for _, is_valid in self._checked(transaction, records)) >= sent

    def is_marked(self, transaction: Connection) -> bool:
        """Return whether the row that says that a snapshot has arrived has a code of the present key."""
        return self._sent(transaction) is not None

    def _sent(self, transaction: Connection) -> int | None:
        table = self._table
        wanted = self._rows.where(table.c.type == STATE, table.c.key == self._state_key)
        found = [row for row, is_valid in self._checked(transaction, wanted) if is_valid]
        return int(found[0]["data"].get("records", 0)) if found else None

    def _checked(
        self, transaction: Connection, wanted: Select[Any], **parameters: object
    ) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield rows of `self._rows`, each with its data parsed, and whether its code is valid."""
        secret = self._secret()
        for row in self._parsed(transaction, wanted, **parameters):
            yield row, has_code(secret, row)

    def _parsed(
        self, transaction: Connection, wanted: Select[Any], **parameters: object
    ) -> Iterator[dict[str, Any]]:
        """Yield rows of `self._rows` with their data parsed. Data that is no JSON stays text."""
        for found in transaction.execute(wanted, parameters).mappings():
            row = dict(found)
            with suppress(TypeError, ValueError):
                row["data"] = orjson.loads(row["data"])
            yield row

    def _is_own(self, transaction: Connection, row: Mapping[str, Any]) -> bool:
        """Return whether the stored row of the same record has a valid code."""
        table = self._table
        wanted = self._rows.where(table.c.type == row["type"], table.c.key == row["key"])
        return all(is_valid for _, is_valid in self._checked(transaction, wanted))

    def _discard_foreign(self, transaction: Connection, sent: int) -> None:
        """Delete what has no valid code although the owner has sent all its records.

        sent: their number. If fewer have a valid code, some came under an earlier key, were dead-lettered, or
        were rewritten meanwhile: then none is deleted, and the next snapshot replaces them.
        """
        table = self._table
        foreign: list[tuple[str, str]] = []
        valid = 0
        # All at once: the same connection deletes.
        for row, is_valid in list(self._checked(transaction, self._rows.where(table.c.type != STATE))):
            if is_valid:
                valid += 1
            else:
                foreign.append((row["type"], row["key"]))
        if valid < sent:
            _log.error("the replica lacks records of the owner's snapshot", extra={"records": sent - valid})
            return
        for type, key in foreign:
            _log.error("deleted a record of the replica that the owner did not send", extra={"record": type})
            transaction.execute(delete(table).where(table.c.type == type, table.c.key == key))

    def _latest_change(self, transaction: Connection) -> int:
        """Return a number that no row, entry of the history and view of this service's records exceeds."""
        numbers = [self._table.c.change] + ([self._history.table.c.change] if self._history else [])
        latest = self._highest
        for number in numbers:
            found = select(func.coalesce(func.max(number), 0)).where(number < _MOST_CHANGES)
            latest = max(latest, int(transaction.execute(found).scalar_one()))
        beyond = self._rows.where(self._table.c.change >= _MOST_CHANGES)
        for row, is_valid in self._checked(transaction, beyond):
            if is_valid:
                latest = max(latest, row["change"])
        return latest
