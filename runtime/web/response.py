"""What a handler answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

_OPTIONS = orjson.OPT_UTC_Z  # RFC 3339 with Z, as contracts say


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer: a status, the body's bytes, and headers (names as they are sent)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """`value` as JSON; datetimes become RFC 3339 in UTC."""
        return cls(
            status,
            orjson.dumps(value, option=_OPTIONS),
            {"Content-Type": "application/json", **(headers or {})},
        )

    @classmethod
    def ndjson(cls, values: Iterable[Any], *, status: int = 200) -> Response:
        """Each of `values` as JSON on a line of its own."""
        lines = b"".join(orjson.dumps(v, option=_OPTIONS | orjson.OPT_APPEND_NEWLINE) for v in values)
        return cls(status, lines, {"Content-Type": "application/x-ndjson"})

    @classmethod
    def text(cls, text: str, *, status: int = 200) -> Response:
        """Plain text in UTF-8."""
        return cls(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    @classmethod
    def empty(cls, status: int = 204) -> Response:
        """No body."""
        return cls(status)
