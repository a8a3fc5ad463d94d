"""Checks of what is stored beside the log against the log. Pure.

Whoever can write to the database can change the leaves and the data beside them, but not the tree that the
published checkpoints sign.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import orjson

from contracts.canonical import NotCanonical, canonical_json
from contracts.commitment import SALT_BYTES, commitment_to
from contracts.errors import Refused

# A leaf is canonical JSON, and no member before the commitment can contain an unescaped quote.
_COMMITMENT: Final = re.compile(rb'[{,]"commitment":"(sha256:[0-9a-f]{64})"')


class ContentMismatch(Refused):
    """A stored entry or its content is not what was logged. Nothing of it is shown.

    index: of the entry.
    """

    def __init__(self, index: int, detail: str) -> None:
        super().__init__("content-mismatch", detail)
        self.index = index


def changed_leaf(index: int) -> ContentMismatch:
    """Return the error for a leaf whose hash is not in the tree."""
    return ContentMismatch(index, f"Entry {index} differs from the logged entry.")


def changed_columns(index: int) -> ContentMismatch:
    """Return the error for search columns that contradict the leaf."""
    return ContentMismatch(index, f"The search columns of entry {index} contradict its leaf.")


def changed_content(index: int) -> ContentMismatch:
    """Return the error for content that the leaf does not commit to."""
    return ContentMismatch(index, f"The content of entry {index} does not match the log's commitment.")


def is_opened_by(leaf: bytes, salt: bytes, text: str) -> bool:
    """Return whether salt and data open the commitment in the leaf. text: the data as stored JSON."""
    found = _COMMITMENT.search(leaf)
    if found is None or len(salt) != SALT_BYTES:
        return False
    committed = found[1].decode()
    if commitment_to(text.encode("utf-8", "surrogatepass"), salt) == committed:
        return True
    # Earlier builds stored the data in another spelling than the one that they hashed.
    try:
        return commitment_to(canonical_json(orjson.loads(text)), salt) == committed
    except (ValueError, NotCanonical):
        return False


def matches_columns(
    leaf: bytes, *, message_id: str, type: str, referral_id: str | None, time: dt.datetime
) -> bool:
    """Return whether search columns repeat what the leaf says. time: in UTC. Total."""
    try:
        said = orjson.loads(leaf)
        expected = (said["message_id"], said["type"], said["referral_id"], said["time"])
    except (ValueError, TypeError, KeyError):
        return False
    written = time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return bool(expected == (message_id, type, referral_id, written))


def referral_of(leaf: bytes) -> str | None:
    """Return the referral that the leaf names."""
    referral_id: str | None = orjson.loads(leaf)["referral_id"]
    return referral_id
