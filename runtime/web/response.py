"""HTTP responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from contracts.responses.form import Page, record_json
from runtime.access.reads import Read
from runtime.turn import in_turns
from runtime.web.operation import Content, Operation

_OPTIONS = orjson.OPT_UTC_Z  # RFC 3339 with Z, as contracts say


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response: status, body bytes, and headers with names as they are sent.

    read: the referrals whose facts the body contains; needed where `@resource` says `Reads.recorded`.
    content: the kinds of record that the body was made from.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    read: Read | None = None
    content: Content | None = None

    def reading(self, read: Read) -> Response:
        """Return the same response with a statement of what it contains."""
        return replace(self, read=read)

    def require_declared_by(self, operation: Operation) -> None:
        """Raises Defect if the operation does not declare this response."""
        operation.require_declared(self.status, self.headers, self.content, empty=not self.body)

    def with_notices_of(self, operation: Operation) -> Response:
        """Return the same response with the headers of a deprecated operation."""
        if operation.deprecated is None:
            return self
        return replace(self, headers={**self.headers, **operation.deprecated.headers})

    @classmethod
    def of(cls, record: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Return the JSON of a record or a page of records (`contracts/responses/form.py`)."""
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        body = _page_json(record) if isinstance(record, Page) else record_json(record)
        return cls(status, body, all_headers, content=Content.of(record))

    @classmethod
    def lines(cls, records: Iterable[Any]) -> Response:
        """Return newline-delimited JSON, one record a line. Other requests run between two records."""
        listed = list(in_turns(records))
        body = b"".join(record_json(record) + b"\n" for record in in_turns(listed))
        kinds = frozenset(map(type, listed))
        return cls(200, body, {"Content-Type": "application/x-ndjson"}, content=Content(kinds))

    @classmethod
    def json(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Return `value` as JSON; datetimes become RFC 3339 in UTC."""
        return cls(
            status,
            orjson.dumps(value, option=_OPTIONS),
            {"Content-Type": "application/json", **(headers or {})},
        )

    @classmethod
    def ndjson(cls, values: Iterable[Any], *, status: int = 200) -> Response:
        """Return `values` as newline-delimited JSON."""
        lines = b"".join(orjson.dumps(v, option=_OPTIONS | orjson.OPT_APPEND_NEWLINE) for v in values)
        return cls(status, lines, {"Content-Type": "application/x-ndjson"})

    @classmethod
    def text(cls, text: str, *, status: int = 200) -> Response:
        """Return plain text in UTF-8."""
        return cls(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    @classmethod
    def empty(cls, status: int = 204) -> Response:
        """Return a response without a body."""
        return cls(status)


def _page_json(page: Page[Any]) -> bytes:
    """Return the JSON of a page. Its items may have megabytes, so other requests run between them."""
    items = b",".join([record_json(item) for item in in_turns(page.items)])
    return b'{"items":[' + items + b'],"next":' + orjson.dumps(page.next) + b"}"
