"""Keyset paging: a cursor names the last item of a page, so that a page costs the same at any depth.

A cursor is opaque to callers and carries no rights: every query still asks only for what the caller
may see. Its check digits catch accidents, old formats and cursors of another list. They are no signature:
a caller can make a cursor, so each part of a position has a form, and only what has it reaches a database.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from contracts.canonical import LARGEST_INTEGER
from contracts.errors import Refused
from contracts.identifiers import UUID_PATTERN

Scalar = str | int
DEFAULT_LIMIT: Final = 50
MAXIMUM_LIMIT: Final = 200
_CHECK_BYTES: Final = 6


def encode_cursor(scope: str, position: Sequence[Scalar]) -> str:
    """The cursor of `position` in the list called `scope`; URL-safe text."""
    payload = orjson.dumps(list(position))
    return urlsafe_b64encode(_check(scope, payload) + payload).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a position. first: what stands before every item; form: of a text, None for a number."""

    first: Scalar
    form: re.Pattern[str] | None = None

    def fits(self, value: object) -> bool:
        """Whether the value can be this part of a position that we gave."""
        if self.form is None:
            return type(value) is int and 0 <= value <= LARGEST_INTEGER
        return type(value) is str and self.form.fullmatch(value) is not None


NUMBER: Final = Part(0)
UUID: Final = Part("", re.compile(UUID_PATTERN))
# Ids of organisations, services and agreements, codes of regions.
NAME: Final = Part("", re.compile(r"[A-Za-z0-9._-]{1,100}"))


def position_of(query: Mapping[str, str], scope: str, parts: Sequence[Part]) -> tuple[Any, ...] | None:
    """The position in the query's `after`, None where it is left out or empty.

    Raises Refused `invalid-cursor`.
    """
    cursor = query.get("after")
    return decode_cursor(scope, cursor, parts) if cursor else None


def decode_cursor(scope: str, cursor: str, parts: Sequence[Part]) -> tuple[Any, ...]:
    """The position in `cursor`: one value for each of `parts`. Raises Refused `invalid-cursor`."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
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
    """What a cursor is answered that no page of the list gave."""
    return Refused("invalid-cursor", "`after` must be the `next` of an earlier page of this same list.")


def limit_of(query: Mapping[str, str], *, default: int = DEFAULT_LIMIT, maximum: int = MAXIMUM_LIMIT) -> int:
    """How many items the caller asks for. Raises Refused `invalid-parameter` outside 1..maximum."""
    return integer_of(query, "limit", default=default, minimum=1, maximum=maximum)


def integer_of(query: Mapping[str, str], name: str, *, default: int, minimum: int, maximum: int) -> int:
    """A whole number from the query. Raises Refused `invalid-parameter` outside the bounds."""
    text = query.get(name)
    if text is None:
        return default
    # isdigit alone would admit other scripts' digits, which int() reads too
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and minimum <= int(text) <= maximum):
        raise Refused("invalid-parameter", f"`{name}` must be a whole number from {minimum} to {maximum}.")
    return int(text)


def _check(scope: str, payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_CHECK_BYTES, person=scope.encode()[:16]).digest()
