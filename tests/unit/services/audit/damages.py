"""Ways in which a stored log can be damaged, and a log that counts what is read of it."""

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

# Microseconds since 1970 that are in no year before 10000.
FAR: Any = literal_column("999999999999999999")
# The bytes of a page of SQLite.
PAGE = 4_096


class CountingLog(SqlLog):
    """rows: how many entries were read, by index, again whenever they were read again."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def leaves(self, transaction: Connection, start: int, stop: int) -> list[StoredLeaf]:
        found = super().leaves(transaction, start, stop)
        self.rows += [leaf.index for leaf in found]
        return found


def entry(index: int, **columns: Any) -> Damage:
    return lambda t: t.execute(update(ENTRIES).where(ENTRIES.c.leaf_index == index).values(columns))


def changed_leaf(index: int) -> Damage:
    """The commitment of another content: everything by which the entry is found stays the same."""

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
    """Overwrites the page of an SQLite file that holds this content, as a failing disk would."""
    assert database.checkpoint_wal()
    # With its connections go the copies of the page that they hold.
    database.engine.dispose()
    file = Path(str(database.engine.url.database))
    stored = bytearray(file.read_bytes())
    page = stored.index(content) // PAGE * PAGE
    stored[page : page + PAGE] = b"\xff" * PAGE
    file.write_bytes(stored)
