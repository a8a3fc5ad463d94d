"""Entries: what the log keeps of an event, and the bytes that are hashed into the tree.

A leaf tells who said what kind of thing when, and about which referral; of the content it holds
only a commitment, a hash salted with 32 random bytes. Whoever keeps content and salt can show that
they belong to the leaf. Once both are erased nobody can, not even by guessing the content, and
every proof still holds, for the leaf itself has not changed.

The bytes of a leaf are for ever: golden bytes in the tests guard them.
Source: canonical JSON is RFC 8785; the times are RFC 3339.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from contracts.canonical import NotCanonical, canonical_json
from contracts.errors import Defect
from contracts.identifiers import UUID_PATTERN

SALT_BYTES = 32
# A tlog-tiles entry bundle gives each entry's length in 16 bits (https://c2sp.org/tlog-tiles).
MAX_LEAF_BYTES = 65_535

_UUID = re.compile(UUID_PATTERN)
_HUB = re.compile(r"/([a-z]{2})/.")


class EntryError(Defect):
    """The event cannot become an entry, today or ever. Says why, and never repeats its content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One event, as the log remembers it. A naive time is refused with EntryError.

    message_id: the event's id, a UUIDv7; type: `kopuro.<subject>.<fact>.v<N>`; time: when it
    happened; hub: where; actor: the event's source; referral_id, organization: whom it
    concerns, where that can be told; commitment: `sha256:` and 64 hex digits.
    """

    message_id: str
    type: str
    time: dt.datetime
    hub: str
    actor: str
    referral_id: str | None
    organization: str | None
    commitment: str

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise EntryError("an entry's time names its time zone")


def leaf_bytes(entry: Entry) -> bytes:
    """The canonical JSON of the entry, at most 65,535 bytes: what `merkle.leaf_hash` is given.

    Every key is always there, `null` where there is nothing to say. The time is in UTC and always
    has six digits after the second, so that times compare as text. Raises EntryError.
    """
    try:
        # In the order of RFC 8785. Texts and nulls alone have one spelling.
        data = orjson.dumps(
            {
                "actor": entry.actor,
                "commitment": entry.commitment,
                "hub": entry.hub,
                "message_id": entry.message_id,
                "organization": entry.organization,
                "referral_id": entry.referral_id,
                "time": _utc(entry.time),
                "type": entry.type,
            }
        )
    except TypeError:
        raise EntryError("the entry has no canonical JSON") from None
    if len(data) > MAX_LEAF_BYTES:
        raise EntryError("the entry is longer than a log can hold")
    return data


def commitment(data: Mapping[str, Any], salt: bytes) -> str:
    """`sha256:` and the hex of SHA-256 over the salt, then the canonical JSON of the data.

    salt: 32 bytes, random, for this event alone, kept and erased with the data. Raises EntryError
    for data that is not I-JSON (RFC 7493: an integer beyond 2**53, say, or a lone surrogate), and
    ValueError for a salt of another length.
    """
    try:
        return commitment_to(canonical_json(data), salt)
    except NotCanonical:
        raise EntryError("the event's data has no canonical JSON") from None


def commitment_to(content: bytes, salt: bytes) -> str:
    """The same for data that is canonical JSON already."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return "sha256:" + sha256(salt + content).hexdigest()


def entry_of(
    *,
    message_id: str,
    type: str,
    time: dt.datetime,
    source: str,
    partition_key: str,
    data: Mapping[str, Any],
    committed: str,
) -> Entry:
    """The entry of an event: its envelope's fields, its data as plain JSON values, the `commitment` to them.

    source: `/<hub>/<service>`. The partition key is taken for a referral's id when it is a UUID: the
    directory's events are partitioned by the ids of other records. The organisation is
    `data["organization"]`, an id or a record with an id; where there is none, `data["sender"]`.
    Raises EntryError for a source without a hub.
    """
    hub = _HUB.match(source)
    if hub is None:
        raise EntryError("the event's source does not name its hub")
    return Entry(
        message_id=message_id,
        type=type,
        time=time,
        hub=hub[1],
        actor=source,
        referral_id=partition_key if _UUID.fullmatch(partition_key) else None,
        organization=_organization(data),
        commitment=committed,
    )


def organizations_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Every organisation that an event's data names as a party: it is found by each of them.

    Looked for in `organization`, `sender` and `to`, here and in the facts of a referral; each once.
    """
    facts = data.get("facts")
    places = [data.get("organization"), data.get("sender"), data.get("to")]
    if facts is not None and isinstance(facts, Mapping):
        places.append(facts.get("to"))
    return tuple(dict.fromkeys(found for place in places if (found := _id(place)) is not None))


def _organization(data: Mapping[str, Any]) -> str | None:
    return _id(data.get("organization")) or _id(data.get("sender"))


def _id(place: object) -> str | None:
    # Texts first: they are by far the most, and the other question is a slow one.
    if place is not None and not isinstance(place, str) and isinstance(place, Mapping):
        place = place.get("id")
    return place if isinstance(place, str) and place else None


def _utc(time: dt.datetime) -> str:
    moment = time if time.tzinfo is dt.UTC else time.astimezone(dt.UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
