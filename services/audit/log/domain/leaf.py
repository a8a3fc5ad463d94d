"""Leaves, the bytes that are hashed into the tree and published. They name nobody.

A leaf of format 3 is canonical JSON (RFC 8785) of always the same length:

    {"data":"sha256:<64 hex>","format":3,"head":"sha256:<64 hex>","tag":"<32 hex>",
     "time":"2026-03-01T09:30:00Z"}                                         (in one line)

head, data: commitments to the entry's head (`entry.head_json`) and to the event's data. Each is the SHA-256
of a domain text, 32 random bytes of salt and the canonical JSON. tag: recognised by the holder of the
referral's key alone, random without a referral. time: the minute in which the log appended the entry.

Two leaves of one referral have nothing in common, and without the salts no guess can be confirmed. Head and
data have salts of their own: the data and its salt may be erased, the head stays.

Leaves of formats 1 and 2, which earlier builds appended, are the same bytes: they hold the head's members in
clear, and `commitment` to the data without a domain text. Format 1 stored the data in another spelling than
the one that was hashed. The bytes of a leaf must never change: golden bytes in the tests guard them.
"""

from __future__ import annotations

import datetime as dt
import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from contracts.commitment import SALT_BYTES, commitment_to

HEAD_DOMAIN: Final = b"kopuro-entry/3 head\n"
DATA_DOMAIN: Final = b"kopuro-entry/3 data\n"
_REFERRAL_DOMAIN: Final = b"kopuro-entry/3 referral\n"
_KEY_DOMAIN: Final = b"kopuro-entry/3 key\n"
TAG_BYTES: Final = 16
# A tlog-tiles entry bundle gives each entry's length in 16 bits (https://c2sp.org/tlog-tiles).
MAX_LEAF_BYTES: Final = 65_535
KEY_BYTES: Final = 32

_DIGEST: Final = rb"sha256:[0-9a-f]{64}"
_LEAF: Final = re.compile(
    rb'\{"data":"(?P<data>' + _DIGEST + rb')","format":3,"head":"(?P<head>' + _DIGEST + rb')",'
    rb'"tag":"(?P<tag>[0-9a-f]{32})","time":"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:00Z)"\}'
)
# No member before the commitment of an earlier leaf can contain an unescaped quote.
_EARLIER_COMMITMENT: Final = re.compile(rb'[{,]"commitment":"(' + _DIGEST + rb')"')


def leaf_bytes(*, head: bytes, data_commitment: str, minute: str, key: bytes | None, filler: bytes) -> bytes:
    """Return a leaf of format 3, the input of `merkle.leaf_hash`.

    head: 32 bytes of salt and the head's canonical JSON; data_commitment: of `data_commitment`; minute: of
    the appending, with a cover rate of the publication before it, as `minute_of` writes it; key: the
    referral's, None if there is no referral; filler: 16 random bytes, the tag of an entry without a referral.
    """
    digest = sha256(HEAD_DOMAIN + head).digest()
    tag = filler if key is None else hmac.digest(key, digest, "sha256")[:TAG_BYTES]
    return (
        f'{{"data":"{data_commitment}","format":3,"head":"sha256:{digest.hex()}",'
        f'"tag":"{tag.hex()}","time":"{minute}"}}'
    ).encode("ascii")


def minute_of(time: dt.datetime) -> str:
    """Return the minute of a time with a time zone, in UTC, such as `2026-03-01T09:30:00Z`."""
    return time.astimezone(dt.UTC).replace(second=0, microsecond=0, tzinfo=None).isoformat() + "Z"


def minute_in(leaf: bytes) -> str | None:
    """Return the minute that a leaf names; None for leaves of formats 1 and 2."""
    found = _LEAF.fullmatch(leaf)
    return None if found is None else found["time"].decode()


def head_commitment(head: bytes) -> str:
    """Return the commitment to a head. head: 32 bytes of salt and the canonical JSON."""
    return "sha256:" + sha256(HEAD_DOMAIN + head).hexdigest()


def data_commitment(content: bytes, salt: bytes) -> str:
    """Return the commitment to the data. content: its canonical JSON. Raises ValueError for a wrong salt."""
    return commitment_to(content, salt, domain=DATA_DOMAIN)


def referral_key(secret: bytes, referral_id: str) -> bytes:
    """Return the key that recognises the referral's leaves. secret: the log's own, 32 bytes."""
    return hmac.digest(secret, _REFERRAL_DOMAIN + referral_id.encode(), "sha256")


def key_commitment(key: bytes) -> str:
    """Return the head's `referral_key`: every head of a referral commits to one key."""
    return "sha256:" + sha256(_KEY_DOMAIN + key).hexdigest()


def fields_of(leaf: bytes, head: bytes | None) -> dict[str, Any]:
    """Return what an entry says: actor, commitment (to the data), hub, message_id, organization, referral_id,
    time and type, of a leaf of any format.

    head: the salt and the head that the leaf commits to, None for formats 1 and 2. Raises ValueError for a
    malformed leaf, and unless the head is the leaf's.
    """
    said, committed = _read(leaf, head)
    said.pop("referral_key", None)
    return {**said, "commitment": committed}


def referral_key_of(leaf: bytes, head: bytes | None) -> str | None:
    """Return the head's commitment to the key of its referral, None for formats 1 and 2.

    Raises ValueError as `fields_of`.
    """
    found: str | None = _read(leaf, head)[0].get("referral_key")
    return found


def committed_data(leaf: bytes) -> tuple[str, bytes] | None:
    """Return the leaf's commitment to the data and its domain text; None for a malformed leaf."""
    if (found := _LEAF.fullmatch(leaf)) is not None:
        return found["data"].decode(), DATA_DOMAIN
    earlier = _EARLIER_COMMITMENT.search(leaf)
    return None if earlier is None else (earlier[1].decode(), b"")


def opened_head(head: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """Return the salt and the head's members. head: as stored, already compared with its leaf."""
    members: Mapping[str, Any] = orjson.loads(head[SALT_BYTES:])
    return head[:SALT_BYTES], members


def _read(leaf: bytes, head: bytes | None) -> tuple[dict[str, Any], str]:
    found = _LEAF.fullmatch(leaf)
    if found is None:
        if head is not None:
            raise ValueError("an earlier leaf has no head")
        said: dict[str, Any] = orjson.loads(leaf)
        if not isinstance(said, dict):
            raise ValueError("a leaf is a JSON object")
        return said, str(said["commitment"])
    if head is None or head_commitment(head) != found["head"].decode():
        raise ValueError("the head is not that of the leaf")
    said = orjson.loads(head[SALT_BYTES:])
    return said, found["data"].decode()
