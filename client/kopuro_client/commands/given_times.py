"""Times and dates on the command line that a command shows before it sends them, checked before it asks."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, TypeVar

import typer

T = TypeVar("T", str, str | None)

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MINUTES: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"
# As the hub reads it: without a leap second, and with `T`.
_RFC_3339: Final = re.compile(
    rf"{_DATE.pattern}[Tt]{_MINUTES}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_MINUTES})",
)


def checked_moment(value: T) -> T:
    """Return an RFC 3339 time, or None. Raises BadParameter for another text."""
    if value is not None and not (_RFC_3339.fullmatch(value) and _is_date(value[:10])):
        raise typer.BadParameter("must be an RFC 3339 time, such as 2026-03-07T12:00:00Z")
    return value


def checked_date(value: T) -> T:
    """Return an ISO 8601 date, or None. Raises BadParameter for another text."""
    if value is not None and not (_DATE.fullmatch(value) and _is_date(value)):
        raise typer.BadParameter("must be a date, such as 2026-03-07")
    return value


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True
