"""The times and dates of JSON: RFC 3339, as the `date-time` and `date` formats of the published schemas want.

`datetime.fromisoformat` takes more of ISO 8601 (weeks, times without seconds, offsets without minutes), which
a partner's validator refuses, and less of RFC 3339 (`t` and `z`).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_time(text: str) -> dt.datetime:
    """Return a time with an offset, such as `2026-05-01T14:30:00+06:00`, in UTC.

    Digits after the sixth of a fraction are dropped. Raises ValueError for anything else, a leap second and a
    time that UTC datetimes cannot represent included, and TypeError for a value that is not text.
    """
    if _TIME.fullmatch(text) is None:
        raise ValueError("not an RFC 3339 time")
    return in_utc(dt.datetime.fromisoformat(text.upper()))


def parse_date(text: str) -> dt.date:
    """Return a date such as `2026-05-01`. Raises ValueError for anything else, weeks included."""
    if _DATE.fullmatch(text) is None:
        raise ValueError("not an RFC 3339 date")
    return dt.date.fromisoformat(text)


def in_utc(moment: dt.datetime) -> dt.datetime:
    """Return the same time in UTC. Raises ValueError for a naive datetime, which is ambiguous."""
    if moment.tzinfo is dt.UTC:
        return moment  # the common case: our own times end in Z
    if moment.tzinfo is None:
        raise ValueError("a datetime must not be naive: it needs a time zone")
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("out of the range that UTC datetimes can represent") from None
