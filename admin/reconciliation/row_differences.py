"""Differences between rows of the directory and what the log says that their columns have."""

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
) -> Iterator[Difference]:
    """Yield rows that one side lacks, or whose columns have other values than the log says.

    what: a row, in words. settled: what the log or an unlogged row says later is not compared. may_lack: the
    ids of logged rows that the directory may have deleted.
    """
    for id, row in stored.items():
        said = logged.get(id)
        if said is None:
            if row.time <= settled:
                yield _difference(what, id, "has no entry in the log")
        elif said.time <= settled:
            others = sorted(name for name, value in said.values.items() if row.values.get(name) != value)
            if others:
                yield _difference(what, id, f"differs from the log in {', '.join(others)}", said.index)
    for id, said in logged.items():
        if id not in stored and id not in may_lack and said.time <= settled:
            yield _difference(what, id, "is missing", said.index)


def _difference(what: str, id: str, how: str, index: int | None = None) -> Difference:
    return Difference(
        referral_id=None, record=f"{what} {id}", where="directory", what=f"the {what} {how}", index=index
    )
