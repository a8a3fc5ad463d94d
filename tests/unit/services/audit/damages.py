"""Damages to a stored log, and a log that counts the entries read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, literal_column, update

from runtime.storage.database import Database
from services.audit.adapters.tables import ENTRIES
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.ports import StoredLeaf

Damage = Callable[[Connection], Any]

# Microseconds since 1970 beyond the year 9999.
FAR: Any = literal_column("999999999999999999")
# The page size of SQLite in bytes.
PAGE = 4_096


class CountingLog(SqlLog):
    """Counts reads. rows: the index of every entry read, repeated for repeated reads."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def leaves(self, transaction: Connection, start: int, stop: int) -> list[StoredLeaf]:
        found = super().leaves(transaction, start, stop)
        self.rows += [leaf.index for leaf in found]
        return found


def entry(index: int, **columns: Any) -> Damage:
    return lambda t: t.execute(update(ENTRIES).where(ENTRIES.c.leaf_index == index).values(columns))


def changed_leaf(index: int) -> Damage:
    """Return a damage that changes the commitment in a leaf but not its search columns."""

    def change(transaction: Connection) -> None:
        leaf = transaction.execute(ENTRIES.select().where(ENTRIES.c.leaf_index == index)).one().leaf
        digit = leaf.index(b"sha256:") + 7
        other = b"1" if leaf[digit : digit + 1] != b"1" else b"2"
        entry(index, leaf=leaf[:digit] + other + leaf[digit + 1 :])(transaction)

    return change


def past_the_calendar(index: int) -> Damage:
    return entry(index, time=FAR)


def removed(index: int) -> Damage:
    return lambda t: t.execute(ENTRIES.delete().where(ENTRIES.c.leaf_index == index))


def on_disk(database: Database, content: bytes) -> None:
    """Overwrite the page of an SQLite file that holds this content, as a failing disk would."""
    assert database.checkpoint_wal()
    # Closing the connections drops their cached copies of the page.
    database.engine.dispose()
    file = Path(str(database.engine.url.database))
    stored = bytearray(file.read_bytes())
    page = stored.index(content) // PAGE * PAGE
    stored[page : page + PAGE] = b"\xff" * PAGE
    file.write_bytes(stored)
