"""Compares the rows that a process has absorbed with the table, a few at a time.

No consumer rewrites or deletes a row that was absorbed, except with a higher change number, or when a row has
the code of an earlier key. Any other difference was made by somebody else who can write to the database.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runtime.messaging.replica import AbsorbedRow, RecordId, Replica

# Rows that are compared in one call.
COMPARED: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubtful:
    """Records whose rows differ from what was absorbed. next: the change number at which to continue."""

    records: frozenset[RecordId]
    next: int


class ReplicaComparison:
    """The rows that a process has absorbed. Not safe for threads."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._rows: dict[RecordId, AbsorbedRow] = {}
        # Sorted by change number, with earlier numbers of the same records until the next turn.
        self._order: list[tuple[int, RecordId]] = []
        self._next = 1

    @property
    def is_at_start(self) -> bool:
        """Whether the next call of `doubtful` begins with the first row."""
        return self._next == 1

    def remember(self, rows: Sequence[AbsorbedRow]) -> None:
        """Remember rows that were absorbed now: their change numbers are higher than those before."""
        for row in rows:
            self._rows[row.id] = row
            self._order.append((row.change, row.id))

    def doubtful(self, transaction: Connection, newest: int) -> Doubtful:
        """Compare the next rows in the order of their change numbers, up to the newest that was absorbed.

        A row may also have changed since the last `remember`: see `refused`.
        """
        first, last = self._next, newest
        rows = self._replica.rows_between(transaction, first, last, COMPARED)
        if len(rows) == COMPARED:
            last = min(last, int(rows[-1]["change"]))
        start = bisect_left(self._order, (first, ("", "")))
        expected = self._order[start : start + COMPARED]
        if len(expected) == COMPARED:
            last = min(last, expected[-1][0])
        lacking = {id for change, id in expected if change <= last and self._is_current(change, id)}
        doubtful: set[RecordId] = set()
        for row in rows:
            id = (row["type"], row["key"])
            kept = self._rows.get(id)
            if kept is not None and kept.is_stored_as(row):
                lacking.discard(id)
            elif row["change"] <= last:
                doubtful.add(id)
        return Doubtful(records=frozenset(doubtful | lacking), next=1 if last >= newest else last + 1)

    def go_on(self, next: int) -> None:
        """Compare the rows from this change number on in the next call."""
        self._next = next
        if next == 1:
            self._order = [one for one in self._order if self._is_current(*one)]

    def refused(
        self, transaction: Connection, records: Collection[RecordId], newest: int
    ) -> Mapping[RecordId, bool]:
        """Return for each of these records whether somebody else has changed or deleted its stored row.

        Records whose row is newer than the newest number are left out: they have not been absorbed yet.
        """
        found: dict[RecordId, bool] = {}
        for id in records:
            row = self._replica.row_of(transaction, id)
            if row is None:
                found[id] = self._is_deleted(id)
            elif not isinstance(row["change"], int | float) or row["change"] <= newest:
                found[id] = not self._is_known(id, row)
        return found

    def _is_current(self, change: int, id: RecordId) -> bool:
        kept = self._rows.get(id)
        return kept is not None and kept.change == change

    def _is_known(self, id: RecordId, row: Mapping[str, Any]) -> bool:
        """Return whether the row says what was absorbed, whatever its change number is."""
        kept = self._rows.get(id)
        return kept is not None and (
            kept.is_stored_as(row) or (row["revision"] == kept.revision and self._replica.is_valid(row))
        )

    def _is_deleted(self, id: RecordId) -> bool:
        kept = self._rows.get(id)
        if kept is None:
            return False
        if kept.secret == self._replica.secret:
            return True
        # After a change of the key, the consumer deletes what the owner has not sent again.
        del self._rows[id]
        return False
