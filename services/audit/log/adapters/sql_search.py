"""Search pages in SQL: scan the index of the rarest condition, from the start of the page.

Each condition has an index that ends in the leaf index, so a page costs the same at any depth. The condition
with the fewest entries leads, and the others are checked for each of its entries. The statements fix this
order (no joins, nothing to reorder), and PostgreSQL must read the index in order. Otherwise its
statistics would decide, and after rapid growth or a restore they are wrong: PostgreSQL would sort all matches
to return a page of a hundred.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    bindparam,
    func,
    select,
    tuple_,
)
from sqlalchemy import Row as SqlRow

from services.audit.adapters.tables import ENTRIES, FACETS, ORGANIZATIONS
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.search import Search

# Counting stops here: which of two common conditions leads matters little.
_COUNTED: Final = 5_000

_FIRST_REACHING = (
    select(ENTRIES.c.leaf_index)
    .where(ENTRIES.c.latest >= bindparam("time"))
    .order_by(ENTRIES.c.latest, ENTRIES.c.leaf_index)
    .limit(1)
)
_ROWS = (
    select(ENTRIES)
    .where(ENTRIES.c.leaf_index.in_(bindparam("indices", expanding=True)))
    .order_by(ENTRIES.c.leaf_index)
)
# Plan nodes that collect all matches before they return the first row.
_GATHERING: Final = ("bitmapscan", "seqscan", "sort", "incremental_sort")
_BY_INDEX: Final = "; ".join(f"SET LOCAL enable_{way} = off" for way in _GATHERING)
_AS_BEFORE: Final = "; ".join(f"RESET enable_{way}" for way in _GATHERING)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Condition:
    """The column values that select an entry; without columns every entry matches.

    The table has an index on these columns followed by the leaf index.
    """

    table: Table
    columns: Mapping[str, str]

    def of(self, source: FromClause) -> list[ColumnElement[bool]]:
        """Return the condition on an alias of the table."""
        return [source.c[name] == value for name, value in self.columns.items()]

    def found(self, transaction: Connection, start: int, stop: int, *what: Any) -> Select[Any]:
        """Return a select of the matching entries in `[start, stop)`, in index order."""
        index = self.table.c.leaf_index
        if transaction.dialect.name != "postgresql" or not self.columns:
            return select(*what).where(*self.of(self.table), index >= start, index < stop).order_by(index)
        # Compares the whole key. PostgreSQL could otherwise scan by leaf index and filter, to the end of the
        # log when nothing more matches.
        key = [*(self.table.c[name] for name in self.columns), index]
        first, last = (*self.columns.values(), start), (*self.columns.values(), stop)
        return select(*what).where(tuple_(*key) >= first, tuple_(*key) < last).order_by(*key)


def page_of(
    transaction: Connection,
    search: Search,
    chronology: Chronology,
    *,
    start: int,
    stop: int,
    limit: int,
    max_scanned: int | None,
) -> tuple[Sequence[SqlRow[Any]], int]:
    """Return the first `limit` matching rows of `entries` in `[start, stop)`, and where to continue.

    chronology: of the whole log. max_scanned: the limit on entries of the leading condition to examine; None
    for no limit.
    """
    with _by_index(transaction):
        first, last = _between(transaction, search, chronology, start, stop)
        if first >= last:
            return [], stop
        leading, *others = _conditions(transaction, search, first, last)
        times = _times(search)
        reached = last
        if max_scanned is not None and (others or times):
            reached = _boundary(transaction, leading, first, last, max_scanned)
        index = leading.table.c.leaf_index
        lookups = [_looked_up(index, condition.table, condition.of) for condition in others]
        rows: Sequence[SqlRow[Any]]
        if leading.table is ENTRIES:
            page = leading.found(transaction, first, reached, ENTRIES).where(*times, *lookups)
            rows = transaction.execute(page.limit(limit)).all()
        else:
            if times:
                lookups.append(_looked_up(index, ENTRIES, lambda entries: _times(search, entries)))
            which = leading.found(transaction, first, reached, index).where(*lookups)
            indices = list(transaction.execute(which.limit(limit)).scalars())
            rows = transaction.execute(_ROWS, {"indices": indices}).all() if indices else []
        return rows, stop if reached == last else reached


@contextmanager
def _by_index(transaction: Connection) -> Iterator[None]:
    """Make PostgreSQL read indices in order inside the block; later queries are planned as usual."""
    if transaction.dialect.name != "postgresql":
        yield
        return
    transaction.exec_driver_sql(_BY_INDEX)
    # After an error the transaction ends, and SET LOCAL with it.
    yield
    transaction.exec_driver_sql(_AS_BEFORE)


def _between(
    transaction: Connection, search: Search, chronology: Chronology, start: int, stop: int
) -> tuple[int, int]:
    """Return the part of `[start, stop)` that can contain events of the time range."""
    if search.since is not None:
        first = _first_reaching(transaction, search.since)
        start = stop if first is None else max(start, first)
    beyond = None if search.until is None else chronology.beyond(search.until)
    passed = None if beyond is None else _first_reaching(transaction, beyond)
    return start, stop if passed is None else min(stop, passed)


def _first_reaching(transaction: Connection, time: dt.datetime) -> int | None:
    return transaction.execute(_FIRST_REACHING, {"time": time}).scalar()


def _times(search: Search, entries: FromClause = ENTRIES) -> list[ColumnElement[bool]]:
    times = []
    if search.since is not None:
        times.append(entries.c.time >= search.since)
    if search.until is not None:
        times.append(entries.c.time < search.until)
    return times


def _conditions(transaction: Connection, search: Search, start: int, stop: int) -> list[_Condition]:
    """Return all conditions except the time range, rarest first."""
    conditions: list[_Condition] = []
    if search.referral_id is not None:
        conditions.append(_Condition(table=ENTRIES, columns={"referral_id": search.referral_id}))
    if search.type is not None:
        conditions.append(_Condition(table=ENTRIES, columns={"type": search.type}))
    if search.organization is not None:
        conditions.append(_Condition(table=ORGANIZATIONS, columns={"organization": search.organization}))
    for facet, value in search.facets:
        conditions.append(_Condition(table=FACETS, columns={"facet": facet, "value": value}))
    if len(conditions) > 1:
        conditions.sort(key=lambda condition: _count(transaction, condition, start, stop))
    return conditions or [_Condition(table=ENTRIES, columns={})]


def _looked_up(
    index: ColumnElement[int], table: Table, holds: Callable[[FromClause], Sequence[ColumnElement[bool]]]
) -> ColumnElement[bool]:
    """Return the condition that the entry matches, as a subquery that no planner turns into a join."""
    side = table.alias()
    return (
        select(side.c.leaf_index)
        .where(side.c.leaf_index == index, *holds(side))
        .scalar_subquery()
        .is_not(None)
    )


def _boundary(transaction: Connection, leading: _Condition, start: int, stop: int, max_scanned: int) -> int:
    """Return the index before which the leading condition has `max_scanned` entries, or `stop`."""
    if not leading.columns:
        return min(start + max_scanned, stop)
    found = leading.found(transaction, start, stop, leading.table.c.leaf_index)
    boundary: int | None = transaction.execute(found.offset(max_scanned).limit(1)).scalar()
    return stop if boundary is None else boundary


def _count(transaction: Connection, condition: _Condition, start: int, stop: int) -> int:
    found = condition.found(transaction, start, stop, condition.table.c.leaf_index).limit(_COUNTED)
    return transaction.execute(select(func.count()).select_from(found.subquery())).scalar_one()
