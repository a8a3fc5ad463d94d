"""Damage beside the log: content missing without a reason, rewritten search keys, damaged values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from admin.reconciliation.service_tables import ENTRIES
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.handlers.content_inspection import ContentInspection, ReasonMissing
from services.audit.log.handlers.entry_verification import UNREADABLE, LogDamaged

# The largest index that a database stores. A range that includes it has an end that is no index.
_LAST_INDEX: Final = 2**63 - 1


def content_damage(engine: Engine, log: SqlLog, limit: int) -> Iterator[str]:
    """Yield the first damage of each `limit` entries. engine: of audit's database.

    Audit's own inspection looks for the same in the background.
    """
    inspection = ContentInspection(log, SqlContents())
    waiting: list[tuple[int, int]] = []
    yield from _damaged_indices(engine)
    with engine.connect() as connection:
        for start, stop in _stretches(connection, limit):
            try:
                _inspect(inspection, connection, start, stop)
            except ReasonMissing:
                waiting.append((start, stop))
            except LogDamaged as damage:
                yield str(damage)
    # The reason for an erasure reaches the log within a second; until then it is not damage.
    with engine.connect() as connection:
        for start, stop in waiting:
            try:
                _inspect(inspection, connection, start, stop)
            except LogDamaged as damage:
                yield str(damage)


def _damaged_indices(engine: Engine) -> Iterator[str]:
    index = ENTRIES.c.leaf_index
    damaged = select(index).where((index < 0) | (index >= _LAST_INDEX)).order_by(index)
    with engine.connect() as connection:
        for found in connection.execute(damaged).scalars():
            yield f"An entry has the index {found}, which no log reaches: it was changed."


def _stretches(connection: Connection, limit: int) -> Iterator[tuple[int, int]]:
    """Yield the positions `[start, stop)` of the next `limit` entries: a damaged index may be huge."""
    index = ENTRIES.c.leaf_index
    last = -1
    while True:
        next_ones = select(index).where(index > last).order_by(index).limit(limit).subquery()
        found = connection.execute(select(func.max(next_ones.c.leaf_index))).scalar()
        if found is None or found <= last:
            return
        start, stop, last = last + 1, min(found + 1, _LAST_INDEX), found
        if start < stop:
            yield start, stop


def _inspect(inspection: ContentInspection, connection: Connection, start: int, stop: int) -> None:
    """Inspect these entries. Raises LogDamaged as `ContentInspection.check`, and for malformed values."""
    try:
        # Only audit's own process knows whether the entries of earlier builds have got their search keys. Its
        # inspection reports a list that was changed later.
        inspection.check(connection, start, stop, is_filed=False)
    except UNREADABLE as unreadable:
        if stop - start == 1:
            raise LogDamaged(f"The data stored beside entry {start} cannot be read.") from unreadable
        middle = (start + stop) // 2
        _inspect(inspection, connection, start, middle)
        _inspect(inspection, connection, middle, stop)
        raise LogDamaged(f"The search keys of entries {start} to {stop - 1} cannot be read.") from unreadable
