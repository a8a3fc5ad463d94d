"""Keyset paging: a cursor names the last item of a page, so that a page costs the same at any depth.

A cursor is opaque to callers and carries no rights: every query still asks only for what the caller
may see. Its check digits catch accidents, old formats and cursors of another list, not forgery.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson

from contracts.errors import Refused

Scalar = str | int
DEFAULT_LIMIT: Final = 50
MAXIMUM_LIMIT: Final = 200
_CHECK_BYTES: Final = 6


def encode_cursor(scope: str, position: Sequence[Scalar]) -> str:
    """The cursor of `position` in the list called `scope`; URL-safe text."""
    payload = orjson.dumps(list(position))
    return urlsafe_b64encode(_check(scope, payload) + payload).rstrip(b"=").decode()


def decode_cursor(scope: str, cursor: str, types: Sequence[type[Scalar]]) -> tuple[Any, ...]:
    """The position in `cursor`: one value of each of `types`. Raises Refused `invalid-cursor`."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        check, payload = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        position = orjson.loads(payload) if check == _check(scope, payload) else None
    except ValueError:
        position = None
    if (
        not isinstance(position, list)
        or len(position) != len(types)
        or any(type(value) is not kind for value, kind in zip(position, types, strict=True))
    ):
        raise Refused("invalid-cursor", "`after` must be the `next` of an earlier page of this same list.")
    return tuple(position)


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
