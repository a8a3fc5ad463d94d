"""The rules of the list: a column is compared with a fact, or there is a reason why it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a column is not compared.

    bookkeeping: what the service has done and has still to do; a change repeats or delays its work.
    derived: the service computes it from other records, most of which are compared.
    code: the code of the row covers it, and the service does not use a row without a valid code.
    sealed: a ciphertext, a secret or a digest of one, which no fact has.
    elsewhere: another command or check compares it.
    unstated: no fact says it.
    uncompared: a fact says it, and the comparison is not made.
    """

    bookkeeping = "bookkeeping"
    derived = "derived"
    code = "code"
    sealed = "sealed"
    elsewhere = "elsewhere"
    unstated = "unstated"
    uncompared = "uncompared"


@dataclass(frozen=True, slots=True)
class Compared:
    """fact: the routing key. member: of its data, or `id`, `time`, `source` or `data` of the event."""

    fact: str
    member: str


@dataclass(frozen=True, slots=True)
class Omitted:
    """A column that is not compared. note: what it is, or what a change of it can do."""

    reason: Reason
    note: str


Columns = Mapping[str, Compared | Omitted]
Tables = Mapping[str, Columns]


def omitted(reason: Reason, note: str, *columns: str) -> Columns:
    """Return the rule for columns that are not compared for the same reason."""
    return dict.fromkeys(columns, Omitted(reason, note))
