"""Column types with the same meaning on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

# SQLite assigns row numbers only in a column declared exactly INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")


def microseconds(moment: dt.datetime) -> int:
    """Return an aware time as `Instant` stores it. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a datetime must not be naive: it needs a time zone")
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(value: int) -> dt.datetime:
    """Return the time of a `microseconds` value."""
    return _EPOCH + value * _MICROSECOND


def stored_bytes(value: Any) -> bytes | None:
    """Return the bytes of a binary column; None for NULL.

    PostgreSQL's driver returns a memoryview. SQLite may hold a damaged value of another type: its text is
    encoded.
    """
    if value is None or isinstance(value, (bytes, memoryview)):
        return None if value is None else bytes(value)
    return str(value).encode()


class Instant(TypeDecorator[dt.datetime]):
    """An aware time, stored as microseconds since 1970-01-01T00:00:00Z: sortable, indexable, exact."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> dt.datetime | None:
        return None if value is None else moment_of(value)


class Json(TypeDecorator[Any]):
    """JSON text. Records, enumerations and aware datetimes are encoded as in the contracts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)
