"""Log entries: the leaf of an event and the head that describes it.

The head names the source, type, time and referral of an event, and an organisation. A leaf commits to it, and
separately to the event's data (`leaf.py`), so it stays with those who may read it.

The bytes of a head must never change: golden bytes in the tests guard them.
Source: canonical JSON is RFC 8785; the times are RFC 3339.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from contracts.envelope import Envelope
from contracts.errors import Defect
from contracts.identifiers import UUID_PATTERN

# Leaves of earlier formats held the members of the head, and had this limit in a tlog-tiles entry bundle.
MAX_HEAD_BYTES = 65_535

# The type of the only entries that are not facts: those of `log.handlers.cover`.
COVER: Final = "kopuro.log.cover.v1"

_UUID = re.compile(UUID_PATTERN)
_HUB = re.compile(r"/([a-z]{2})/.")


class EntryError(Defect):
    """The event can never become an entry. The text says why without repeating its content."""


# Not frozen: every append makes one, and a frozen one takes three times as long to make.
@dataclass(kw_only=True, slots=True)
class Entry:
    """An event as the log stores it. Raises EntryError for a naive time.

    message_id: the event's id, a UUIDv7; type: `kopuro.<subject>.<fact>.v<N>`; time: of the
    event; hub: its country code; actor: the event's source; referral_id, organization: the subject,
    None if unknown.
    """

    message_id: str
    type: str
    time: dt.datetime
    hub: str
    actor: str
    referral_id: str | None
    organization: str | None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise EntryError("an entry's time must have a time zone")


def head_json(entry: Entry, referral_key: str | None) -> bytes:
    """Return the canonical JSON of the entry, at most 65,535 bytes.

    Every key is present, `null` without a value. The time is in UTC and always has six decimals, so that
    times compare as text. referral_key: the commitment to the key of the referral, None if there is none.
    Raises EntryError.
    """
    try:
        # Keys in the order of RFC 8785; strings and nulls have only one spelling.
        data = orjson.dumps(
            {
                "actor": entry.actor,
                "hub": entry.hub,
                "message_id": entry.message_id,
                "organization": entry.organization,
                "referral_id": entry.referral_id,
                "referral_key": referral_key,
                "time": entry.time if _has_microseconds(entry.time) else utc_text(entry.time),
                "type": entry.type,
            },
            option=orjson.OPT_UTC_Z,
        )
    except TypeError:
        raise EntryError("the entry has no canonical JSON") from None
    if len(data) > MAX_HEAD_BYTES:
        raise EntryError("the entry is too long for the log")
    return data


def entry_of(
    *,
    message_id: str,
    type: str,
    time: dt.datetime,
    source: str,
    partition_key: str,
    data: Mapping[str, Any],
) -> Entry:
    """Return the entry of an event. data: plain JSON values.

    source: `/<hub>/<service>`. A partition key that is a UUID is taken as the referral's id; the
    directory's events are partitioned by other ids. The organisation is
    `data["organization"]`, an id or a record with an id; where there is none, `data["sender"]`.
    Raises EntryError for a source without a hub.
    """
    hub = _HUB.match(source)
    if hub is None:
        raise EntryError("the event's source does not name a hub")
    return Entry(
        message_id=message_id,
        type=type,
        time=time,
        hub=hub[1],
        actor=source,
        referral_id=partition_key if _UUID.fullmatch(partition_key) else None,
        organization=_organization(data),
    )


def entry_of_message(message: Envelope) -> Entry:
    """Return the entry of a received event. Raises EntryError as `entry_of`."""
    return entry_of(
        message_id=message.id,
        type=message.type,
        time=message.time,
        source=message.source,
        partition_key=message.partition_key,
        data=message.data,
    )


def organizations_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every organisation that an event's data names as a party: the search keys of the entry.

    Reads `organization`, `sender` and `to`, and `to` in the facts of a referral; without duplicates.
    """
    parties = [data[member] for member in ("organization", "sender", "to") if member in data]
    if "facts" in data and isinstance(facts := data["facts"], Mapping):
        parties.append(facts.get("to"))
    return tuple(dict.fromkeys([found for party in parties if (found := _id(party)) is not None]))


def _organization(data: Mapping[str, Any]) -> str | None:
    return _id(data.get("organization")) or _id(data.get("sender"))


def _id(party: object) -> str | None:
    # Strings first: they are by far the most frequent, and the Mapping check is slow.
    if party is not None and not isinstance(party, str) and isinstance(party, Mapping):
        party = party.get("id")
    return party if isinstance(party, str) and party else None


def _has_microseconds(time: dt.datetime) -> bool:
    """Return whether orjson writes the time as `utc_text` does, in a third of the time."""
    return time.microsecond != 0 and time.tzinfo is dt.UTC


def utc_text(time: dt.datetime) -> str:
    """Return a time with a time zone as heads have it: in UTC, always with six decimals."""
    moment = time if time.tzinfo is dt.UTC else time.astimezone(dt.UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
