"""Ways in which a stored log can be damaged, and a log that counts what is read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, update

from services.audit.adapters.sql_log import SqlLog
from services.audit.adapters.tables import ENTRIES
from services.audit.ports import StoredLeaf

Damage = Callable[[Connection], Any]


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


def removed(index: int) -> Damage:
    return lambda t: t.execute(ENTRIES.delete().where(ENTRIES.c.leaf_index == index))
