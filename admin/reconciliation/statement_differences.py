"""Differences between the statements that routing issued and what the log says of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from admin.reconciliation.differences import Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredStatement:
    """A statement in routing's database. digest: of its content; logged_in: the message about it."""

    organization: str
    month: str
    digest: str
    issued_at: dt.datetime
    logged_in: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStatement:
    """A statement that the log says was issued. index, time: of its entry."""

    index: int
    time: dt.datetime
    message_id: str
    organization: str
    month: str
    digest: str


def statement_differences(
    stored: Sequence[StoredStatement], logged: Sequence[LoggedStatement], settled: dt.datetime
) -> Iterator[Difference]:
    """Yield statements that one side lacks, that have other figures, or that were issued twice."""
    by_message = {one.logged_in: one for one in stored}
    first: dict[tuple[str, str], int] = {}
    for entry in logged:
        if entry.time > settled:
            continue
        key = (entry.organization, entry.month)
        found = by_message.get(entry.message_id)
        if (before := first.setdefault(key, entry.index)) != entry.index:
            what = f"was issued twice: entries {before} and {entry.index}"
            yield _of_statement(*key, what, entry.index)
        elif found is None:
            yield _of_statement(*key, "is missing", entry.index)
        elif (found.organization, found.month, found.digest) != (*key, entry.digest):
            yield _of_statement(*key, "differs from the logged digest: it was rewritten", entry.index)
        elif found.issued_at != entry.time:
            what = f"was issued at {found.issued_at.isoformat()}, in the log {entry.time.isoformat()}"
            yield _of_statement(*key, what, entry.index)
    known = {entry.message_id for entry in logged}
    for one in stored:
        if one.logged_in not in known and one.issued_at <= settled:
            yield _of_statement(one.organization, one.month, "has no entry in the log")


def _of_statement(organization: str, month: str, what: str, index: int | None = None) -> Difference:
    return Difference(
        referral_id=None,
        record=f"statement {organization} {month}",
        where="routing",
        what=f"the statement of {organization} for {month} {what}",
        index=index,
    )
