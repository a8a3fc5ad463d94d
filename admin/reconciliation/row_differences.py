"""Differences between rows of a service and what the log says that their columns have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from admin.reconciliation.differences import Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRow:
    """A row of a table, or what the log says that it has.

    time: of the row, or of the entry that says it last. values: of the columns, by name. index: of the
    entry.
    """

    time: dt.datetime
    values: Mapping[str, Any]
    index: int | None = None


def row_differences(
    what: str,
    stored: Mapping[str, ComparedRow],
    logged: Mapping[str, ComparedRow],
    settled: dt.datetime,
    *,
    may_lack: Collection[str] = (),
    moving: Collection[str] = (),
    where: str = "directory",
) -> Iterator[Difference]:
    """Yield rows that one side lacks, or whose columns have other values than the log says.

    what: a row, in words. settled: what the log or an unlogged row says later is not compared. may_lack: the
    ids of logged rows that the service may have deleted. moving: the ids of rows with later events that the
    log may not have yet (`ids_in_transit`); they are not compared. where: the service.
    """
    for id, row in stored.items():
        if id in moving:
            continue
        said = logged.get(id)
        if said is None:
            if row.time <= settled:
                yield row_difference(what, id, "has no entry in the log", where=where)
        elif said.time <= settled:
            others = sorted(name for name, value in said.values.items() if row.values.get(name) != value)
            if others:
                how = f"differs from the log in {', '.join(others)}"
                yield row_difference(what, id, how, said.index, where=where)
    for id, said in logged.items():
        if id not in stored and id not in may_lack and id not in moving and said.time <= settled:
            yield row_difference(what, id, "is missing", said.index, where=where)


def row_difference(
    what: str, id: str, how: str, index: int | None = None, *, where: str = "directory"
) -> Difference:
    """Return the difference of a row, or of an entry about it. how: what differs, in words."""
    return Difference(
        referral_id=None, record=f"{what} {id}", where=where, what=f"the {what} {how}", index=index
    )
