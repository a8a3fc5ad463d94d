"""Values of the services' databases, read although they may be damaged.

A damaged value never ends a comparison. It is read as one that differs from every value in the log, so that
the comparison names its row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

from runtime.storage.columns import moment_of, stored_bytes

# The time, the number and the digest of a damaged value.
NO_TIME: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
NO_NUMBER: Final = -1
DAMAGED: Final = "damaged"


class StoredTime(TypeDecorator[dt.datetime]):
    """A time as `runtime.storage.columns.Instant` stores it; NO_TIME for any other value."""

    impl = BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.datetime | None:
        try:
            return None if value is None else moment_of(value)
        except (TypeError, ValueError, OverflowError):
            return NO_TIME


class StoredNumber(TypeDecorator[int]):
    """An integer; NO_NUMBER for any other value."""

    impl = BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return value if value is None or isinstance(value, int) else NO_NUMBER


class StoredText(TypeDecorator[str]):
    """A text. Other values, which SQLite may hold, are written as texts."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


class StoredBytes(TypeDecorator[bytes]):
    """Bytes. Other values, which SQLite may hold, are encoded as texts."""

    # Not LargeBinary, which raises TypeError for a text.
    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return stored_bytes(value)


def json_object(text: str | None) -> Mapping[str, Any] | None:
    """Return the object of a JSON text; None for a text that has none."""
    try:
        found = orjson.loads(text or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def json_value(text: str | None) -> Any:
    """Return the value of a JSON text; DAMAGED for a text that has none."""
    try:
        return orjson.loads(text or "")
    except ValueError:
        return DAMAGED
