"""A hub's entries: what a leaf tells, and how an opening shows what it keeps to itself.

A leaf is canonical JSON (RFC 8785). Of an event's content it holds a commitment only, `sha256:` and the hex
of SHA-256 over a secret salt of 32 bytes and the content's canonical JSON.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, Final

import rfc8785

from kopuro_client.tlog.errors import ContentError, MalformedError

SALT_BYTES: Final = 32
_UNUSUAL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u[0-9a-f]{0,3}[A-F]")


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value. Raises MalformedError for what has none. Source: RFC 8785."""
    try:
        return rfc8785.dumps(value)
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("a JSON value is outside of what RFC 8785 can write") from None


def read_json(text: bytes, *, what: str) -> dict[str, Any]:
    """A JSON object in UTF-8. what: named in the MalformedError.

    A name stands once, and escapes and numbers have the spelling that their writers give them: no byte
    can be changed and leave the value as it was, but for the white space.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(fields := dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice")
        return fields

    def number(literal: str) -> float:
        value = float(literal)
        if literal not in (repr(value), rfc8785.dumps(value).decode()):
            raise ValueError("an unusual spelling of a number")
        return value

    try:
        if _UNUSUAL_ESCAPE.search(text):
            raise ValueError("an unusual escape")
        value = json.loads(text.decode(), object_pairs_hook=unique, parse_float=number)
    except (ValueError, RecursionError):
        raise MalformedError(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not a JSON object")
    return value


def read_leaf(leaf: bytes, *, index: int) -> dict[str, Any]:
    """The fields of a leaf. Raises MalformedError for anything but canonical JSON."""
    fields = read_json(leaf, what=f"entry {index}")
    if canonical_json(fields) != leaf:
        raise MalformedError(f"entry {index} is not canonical JSON")
    return fields


def check_opening(leaf: dict[str, Any], *, index: int, salt: bytes, data: Any) -> None:
    """Return if this is the content that the leaf was made from. Raises ContentError."""
    if len(salt) != SALT_BYTES:
        raise ContentError(f"the salt shown for entry {index} does not have {SALT_BYTES} bytes")
    if leaf.get("commitment") != "sha256:" + sha256(salt + canonical_json(data)).hexdigest():
        raise ContentError(f"the content shown for entry {index} is not what the log committed to")
