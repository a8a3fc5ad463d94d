"""A page of a search in SQL: by the index of its rarest condition, from where the page begins.

Each condition has an index that ends in the entry's own, so a page costs the same at any depth. Of several,
the one with the fewest entries leads, and the rest are looked up for each entry of it. That it leads is
written into the statements (no joins, nothing to reorder), and PostgreSQL is told to read an index in its own
order. Otherwise its statistics decide, and those of a log that has just grown or been restored are wrong:
a page of a hundred would be sorted out of all that match.
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

# Beyond so many entries a condition is common, and which of two common ones leads matters less.
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
# Whatever gathers all that match before the first row is out.
_GATHERING: Final = ("bitmapscan", "seqscan", "sort", "incremental_sort")
_BY_INDEX: Final = "; ".join(f"SET LOCAL enable_{way} = off" for way in _GATHERING)
_AS_BEFORE: Final = "; ".join(f"RESET enable_{way}" for way in _GATHERING)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Condition:
    """What the columns of a table must be for an entry to be found. No columns: any entry is.

    The columns, and then the entry's index, are the key of an index of the table.
    """

    table: Table
    columns: Mapping[str, str]

    def of(self, source: FromClause) -> list[ColumnElement[bool]]:
        """The same, of the table under another name."""
        return [source.c[name] == value for name, value in self.columns.items()]

    def found(self, transaction: Connection, start: int, stop: int, *what: Any) -> Select[Any]:
        """Selects of the entries in `[start, stop)` for which it holds, in their order."""
        index = self.table.c.leaf_index
        if transaction.dialect.name != "postgresql" or not self.columns:
            return select(*what).where(*self.of(self.table), index >= start, index < stop).order_by(index)
        # Said of the whole key: PostgreSQL could otherwise read by the entries' own index and pick out what
        # holds, and read on to the end of the log where nothing more does.
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
    """The first `limit` rows of `entries` in `[start, stop)` that match, and how far was looked.

    chronology: of the whole log. looked: of the entries that the leading condition finds, look at no more
    than so many; None for all.
    """
    with _by_index(transaction):
        return _page(transaction, search, chronology, start, stop, limit, max_scanned)


@contextmanager
def _by_index(transaction: Connection) -> Iterator[None]:
    """Has PostgreSQL read indices in their order. What the caller asks afterwards is planned as ever."""
    if transaction.dialect.name != "postgresql":
        yield
        return
    transaction.exec_driver_sql(_BY_INDEX)
    # An error ends the transaction, and the setting with it.
    yield
    transaction.exec_driver_sql(_AS_BEFORE)


def _page(
    transaction: Connection,
    search: Search,
    chronology: Chronology,
    start: int,
    stop: int,
    limit: int,
    max_scanned: int | None,
) -> tuple[Sequence[SqlRow[Any]], int]:
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


def _between(
    transaction: Connection, search: Search, chronology: Chronology, start: int, stop: int
) -> tuple[int, int]:
    """The part of `[start, stop)` outside of which no event can be of the span of time."""
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
    """All that must hold but the time, the rarest first."""
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
    """Whether this holds for the entry of that index: a question that no planner turns into a join."""
    side = table.alias()
    return (
        select(side.c.leaf_index)
        .where(side.c.leaf_index == index, *holds(side))
        .scalar_subquery()
        .is_not(None)
    )


def _boundary(transaction: Connection, leading: _Condition, start: int, stop: int, max_scanned: int) -> int:
    """The index before which the leading condition finds so many entries, or all that there are."""
    if not leading.columns:
        return min(start + max_scanned, stop)
    found = leading.found(transaction, start, stop, leading.table.c.leaf_index)
    boundary: int | None = transaction.execute(found.offset(max_scanned).limit(1)).scalar()
    return stop if boundary is None else boundary


def _count(transaction: Connection, condition: _Condition, start: int, stop: int) -> int:
    found = condition.found(transaction, start, stop, condition.table.c.leaf_index).limit(_COUNTED)
    return transaction.execute(select(func.count()).select_from(found.subquery())).scalar_one()
