"""Checks of what is stored beside the log against the log. Pure.

An attacker who can write to the database can change the leaves and the data beside them, but not the tree
that the published checkpoints sign.
"""

from __future__ import annotations

import datetime as dt

import orjson

from contracts.canonical import NotCanonical, canonical_json
from contracts.commitment import SALT_BYTES, commitment_to
from contracts.errors import Refused
from services.audit.log.domain.leaf import committed_data, fields_of


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


def changed_head(index: int) -> ContentMismatch:
    """Return the error for a head that the leaf does not commit to."""
    return ContentMismatch(index, f"The head of entry {index} does not match the log's commitment.")


def changed_content(index: int) -> ContentMismatch:
    """Return the error for content that the leaf does not commit to."""
    return ContentMismatch(index, f"The content of entry {index} does not match the log's commitment.")


def is_opened_by(leaf: bytes, salt: bytes, text: object) -> bool:
    """Return whether salt and data open the commitment in the leaf.

    text: the data as stored JSON. A damaged value of another type opens nothing.
    """
    found = committed_data(leaf)
    if found is None or len(salt) != SALT_BYTES or not isinstance(text, str):
        return False
    committed, domain = found
    if commitment_to(text.encode("utf-8", "surrogatepass"), salt, domain=domain) == committed:
        return True
    # Earlier builds stored the data in another spelling than the one that they hashed.
    try:
        return commitment_to(canonical_json(orjson.loads(text)), salt, domain=domain) == committed
    except (ValueError, NotCanonical):
        return False


def matches_columns(
    leaf: bytes,
    head: bytes | None,
    *,
    message_id: str,
    type: str,
    referral_id: str | None,
    time: dt.datetime,
) -> bool:
    """Return whether search columns repeat what the entry says. time: in UTC. Total for bytes.

    head: as stored beside the leaf; one that the leaf does not commit to matches nothing.
    """
    try:
        said = fields_of(leaf, head)
        expected = (said["message_id"], said["type"], said["referral_id"], said["time"])
    except (ValueError, KeyError):
        return False
    written = time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return bool(expected == (message_id, type, referral_id, written))
