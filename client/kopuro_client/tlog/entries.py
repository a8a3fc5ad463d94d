"""A hub's log entries: leaves, and the openings of their commitments.

A leaf is canonical JSON (RFC 8785). It has only a commitment to the event's content: `sha256:` and the hex of
SHA-256 over a secret salt of 32 bytes and the content's canonical JSON. An opening is the salt and the
content.
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
    """Return the canonical JSON of a value. Raises MalformedError if it has none. Source: RFC 8785."""
    try:
        return rfc8785.dumps(value)
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("a JSON value has no canonical form (RFC 8785)") from None


def read_json(text: bytes, *, what: str) -> dict[str, Any]:
    """Parse a JSON object in UTF-8. Raises MalformedError, naming `what`.

    Refuses duplicate names and unusual escapes and numbers. Except for white space, no byte can change
    without changing the value.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(fields := dict(pairs)) != len(pairs):
            raise ValueError("duplicate name")
        return fields

    def number(literal: str) -> float:
        value = float(literal)
        if literal not in (repr(value), rfc8785.dumps(value).decode()):
            raise ValueError("unusual form of a number")
        return value

    try:
        if _UNUSUAL_ESCAPE.search(text):
            raise ValueError("unusual escape")
        value = json.loads(text.decode(), object_pairs_hook=unique, parse_float=number)
    except (ValueError, RecursionError):
        raise MalformedError(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not a JSON object")
    return value


def read_leaf(leaf: bytes, *, index: int) -> dict[str, Any]:
    """Return the fields of a leaf. Raises MalformedError unless it is canonical JSON."""
    fields = read_json(leaf, what=f"entry {index}")
    if canonical_json(fields) != leaf:
        raise MalformedError(f"entry {index} is not canonical JSON")
    return fields


def check_opening(leaf: dict[str, Any], *, index: int, salt: bytes, data: Any) -> None:
    """Raises ContentError unless salt and data open the leaf's commitment."""
    if len(salt) != SALT_BYTES:
        raise ContentError(f"the salt of entry {index} does not have {SALT_BYTES} bytes")
    if leaf.get("commitment") != "sha256:" + sha256(salt + canonical_json(data)).hexdigest():
        raise ContentError(f"the content of entry {index} does not match the log's commitment")
