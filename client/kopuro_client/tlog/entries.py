"""A hub's log entries: leaves, and the openings of their commitments.

A leaf is canonical JSON (RFC 8785). One of format 3 names nobody: it commits to the entry's head (type, time,
author, referral, organisation) and to the event's data. A commitment is `sha256:` and the hex of SHA-256
over a fixed text, a secret salt of 32 bytes and the canonical JSON. An opening is the salt and the value.
Leaves of formats 1 and 2 hold the head in clear, and their commitment to the data has no fixed text. The
bytes are documented in docs/auditing.md, "The entry format".
"""

from __future__ import annotations

import hmac
import json
import re
from hashlib import sha256
from typing import Any, Final

import rfc8785

from kopuro_client.tlog.errors import ContentError, MalformedError

SALT_BYTES: Final = 32
KEY_BYTES: Final = 32
_HEAD: Final = b"kopuro-entry/3 head\n"
_DATA: Final = b"kopuro-entry/3 data\n"
_KEY: Final = b"kopuro-entry/3 key\n"
_LEAF_3: Final = re.compile(
    rb'\{"data":"sha256:[0-9a-f]{64}","format":3,"head":"sha256:(?P<head>[0-9a-f]{64})",'
    rb'"tag":"(?P<tag>[0-9a-f]{32})","time":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:00Z"\}'
)
_HEAD_FIELDS: Final = frozenset(
    {"actor", "hub", "message_id", "organization", "referral_id", "referral_key", "time", "type"}
)
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
    """Return the members of a leaf. Raises MalformedError unless it is canonical JSON of a known format."""
    members = read_json(leaf, what=f"entry {index}")
    if canonical_json(members) != leaf:
        raise MalformedError(f"entry {index} is not canonical JSON")
    if "format" in members and not is_closed(leaf):
        raise MalformedError(f"entry {index} has an unknown format")
    return members


def is_closed(leaf: bytes) -> bool:
    """Return whether the leaf is of format 3, which only an opened head explains."""
    return _LEAF_3.fullmatch(leaf) is not None


def read_entry(leaf: bytes, *, index: int, salt: bytes | None = None, head: Any = None) -> dict[str, Any]:
    """Return what an entry says: actor, commitment (to the data), hub, message_id, organization, referral_id,
    time and type; for format 3 also referral_key, the commitment to the key of its referral.

    salt, head: open a leaf of format 3; None for an earlier one. Raises MalformedError, and ContentError
    for a head that the leaf does not commit to.
    """
    members = read_leaf(leaf, index=index)
    if not is_closed(leaf):
        if head is not None:
            raise ContentError(f"entry {index} has an earlier format and no head to open")
        return members
    if salt is None or not isinstance(head, dict):
        raise MalformedError(f"the head of entry {index} is missing")
    _check_salt(salt, index=index)
    if members["head"] != _commitment(_HEAD, salt, head):
        raise ContentError(f"the head of entry {index} does not match the log's commitment")
    if head.keys() != _HEAD_FIELDS:
        raise MalformedError(f"the head of entry {index} has other members than format 3 defines")
    return {**head, "commitment": members["data"]}


def check_opening(leaf: bytes, *, index: int, salt: bytes, data: Any) -> None:
    """Raises ContentError unless salt and data open the leaf's commitment to the data."""
    _check_salt(salt, index=index)
    members = read_leaf(leaf, index=index)
    if is_closed(leaf):
        matches = members["data"] == _commitment(_DATA, salt, data)
    else:
        matches = members.get("commitment") == _commitment(b"", salt, data)
    if not matches:
        raise ContentError(f"the content of entry {index} does not match the log's commitment")


def key_commitment(key: bytes) -> str:
    """Return the `referral_key` of the heads of the key's referral."""
    return "sha256:" + sha256(_KEY + key).hexdigest()


def recognizes(key: bytes, leaf: bytes) -> bool:
    """Return whether a leaf of format 3 belongs to the key's referral. False for every earlier leaf."""
    found = _LEAF_3.fullmatch(leaf)
    if found is None:
        return False
    tag = hmac.digest(key, bytes.fromhex(found["head"].decode()), "sha256")[:16]
    return tag.hex() == found["tag"].decode()


def _check_salt(salt: bytes, *, index: int) -> None:
    if len(salt) != SALT_BYTES:
        raise ContentError(f"the salt of entry {index} does not have {SALT_BYTES} bytes")


def _commitment(domain: bytes, salt: bytes, value: Any) -> str:
    return "sha256:" + sha256(domain + salt + canonical_json(value)).hexdigest()
