"""Keyset paging: a cursor names the last item of a page, so that a page costs the same at any depth.

A cursor is opaque to callers and grants no rights: each query still returns only what the caller may see.
Its check digits detect accidents, old formats and cursors of other lists. A caller can forge a
cursor, so each part of a position is validated before it reaches a database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from contracts.canonical import LARGEST_INTEGER
from contracts.errors import PointerError, Refused
from contracts.identifiers import UUID_PATTERN
from contracts.jose import decoded, encoded
from runtime.web.parameters import invalid_parameter

Scalar = str | int
DEFAULT_LIMIT: Final = 50
MAXIMUM_LIMIT: Final = 200
_CHECK_BYTES: Final = 6
_LONGEST_NAME: Final = 16  # bytes of a scope; the digest of a longer scope has this length too


def encode_cursor(scope: str, position: Sequence[Scalar]) -> str:
    """Return the cursor of `position` in the list called `scope` as URL-safe text."""
    payload = orjson.dumps(list(position))
    return encoded(_check(scope, payload) + payload)


@dataclass(frozen=True, slots=True)
class CursorPart:
    """One part of a position. first: sorts before every item; form: a text's pattern, None for a number."""

    first: Scalar
    form: re.Pattern[str] | None = None

    def fits(self, value: object) -> bool:
        """Return whether the value is valid for this part of a position."""
        if self.form is None:
            return type(value) is int and 0 <= value <= LARGEST_INTEGER
        return type(value) is str and self.form.fullmatch(value) is not None


NUMBER: Final = CursorPart(0)
UUID: Final = CursorPart("", re.compile(UUID_PATTERN))
# Ids of organisations, services and agreements; region codes.
NAME: Final = CursorPart("", re.compile(r"[A-Za-z0-9._-]{1,100}"))


def position_of(query: Mapping[str, str], scope: str, parts: Sequence[CursorPart]) -> tuple[Any, ...] | None:
    """Return the position in the query's `after`, None when it is absent or empty.

    Raises Refused `invalid-cursor`.
    """
    cursor = query.get("after")
    return decode_cursor(scope, cursor, parts) if cursor else None


def decode_cursor(scope: str, cursor: str, parts: Sequence[CursorPart]) -> tuple[Any, ...]:
    """Return the position in `cursor`, one value for each of `parts`. Raises Refused `invalid-cursor`."""
    try:
        raw = decoded(cursor)
        check, payload = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        position = orjson.loads(payload) if check == _check(scope, payload) else None
    except ValueError:
        position = None
    if (
        not isinstance(position, list)
        or len(position) != len(parts)
        or not all(part.fits(value) for value, part in zip(position, parts, strict=True))
    ):
        raise invalid_cursor()
    return tuple(position)


def invalid_cursor() -> Refused:
    """Return the refusal of a cursor that no page of the list returned."""
    detail = "Must be the `next` of an earlier page of the same list."
    where = PointerError(pointer="/after", detail=detail)
    return Refused(
        "invalid-cursor", "`after` must be the `next` of an earlier page of the same list.", errors=(where,)
    )


def limit_of(query: Mapping[str, str], *, default: int = DEFAULT_LIMIT, maximum: int = MAXIMUM_LIMIT) -> int:
    """Return the requested page size. Raises Refused `invalid-parameter` outside 1..maximum."""
    return integer_of(query, "limit", default=default, minimum=1, maximum=maximum)


def integer_of(query: Mapping[str, str], name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return a whole number from the query. Raises Refused `invalid-parameter` outside the bounds."""
    text = query.get(name)
    if text is None:
        return default
    # isdigit() and int() also accept the digits of other scripts
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and minimum <= int(text) <= maximum):
        raise invalid_parameter(name, f"must be a whole number from {minimum} to {maximum}.")
    return int(text)


def _check(scope: str, payload: bytes) -> bytes:
    name = scope.encode()
    # A longer name would be cut off: the cursors of two organisations' lists must differ.
    person = name if len(name) <= _LONGEST_NAME else blake2b(name, digest_size=_LONGEST_NAME).digest()
    return blake2b(payload, digest_size=_CHECK_BYTES, person=person).digest()
