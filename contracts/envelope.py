"""The envelope of every message: CloudEvents 1.0, structured JSON, with our extension attributes.

Source: CloudEvents 1.0.2 §3 (attributes), JSON event format §3; W3C Trace Context (`traceparent`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from contracts.canonical import is_canonical
from contracts.errors import Defect
from contracts.facts import CATALOGUE, Fact
from contracts.records import Malformed, aware, read
from contracts.topology import EVENTS

CONTENT_TYPE = "application/cloudevents+json"
LONGEST_ID = 64
# 2^53 has sixteen digits. Every digit as a nought, they are found in a tenth of a regular expression's time.
_NOUGHTS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 16

F_co = TypeVar("F_co", bound=Fact, covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event(Generic[F_co]):
    """One fact under way.

    source: `/<hub>/<service>`. partition_key: the referral id, or the id of the record that changed:
    messages with one partition key keep their order. correlation_id: the message that began it all.
    causation_id: the message that this one answers, None at the beginning.
    """

    id: str
    source: str
    time: dt.datetime
    partition_key: str
    correlation_id: str
    causation_id: str | None
    data: F_co
    traceparent: str | None = None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("a naive datetime names no moment in time")

    @property
    def type(self) -> str:
        """The CloudEvents type, `kopuro.<subject>.<fact>.v<N>`."""
        return self.data.type

    def encode(self) -> bytes:
        """The message's bytes. Raises Defect for a fact without canonical JSON: it could not be logged."""
        encoded = orjson.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": self.source,
                "type": self.data.type,
                "subject": self.partition_key,
                "time": aware(self.time),
                "datacontenttype": "application/json",
                "dataclassification": self.data.classification,
                "partitionkey": self.partition_key,
                "correlationid": self.correlation_id,
                "causationid": self.causation_id,
                "traceparent": self.traceparent,
                "data": self.data,
            },
            option=orjson.OPT_UTC_Z,
        )
        # Numbers are all that orjson writes and RFC 8785 does not. A sealed letter is never logged.
        # A text may hold as many digits as a number: then the number is looked for properly.
        may_be_inexact = self.data.exchange == EVENTS and _LONG_NUMBER in encoded.translate(_NOUGHTS)
        if may_be_inexact and not is_canonical(orjson.loads(encoded)["data"]):
            raise Defect(f"A {self.data.type} holds a number of 2^53 or more.")
        return encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A message whose fact has not been looked into: all that audit and delivery need of most."""

    id: str
    source: str
    type: str
    time: dt.datetime
    partition_key: str
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    data: Mapping[str, Any]
    body: bytes

    @classmethod
    def decode(cls, body: bytes) -> Envelope:
        """Raises Malformed where the bytes are not a CloudEvent of ours. Unknown attributes are ignored."""
        try:
            raw = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Malformed("not JSON") from None
        if not isinstance(raw, dict) or raw.get("specversion") != "1.0":
            raise Malformed("/specversion: not a CloudEvent of version 1.0")
        try:
            envelope = cls(
                id=_id(raw),
                source=_text(raw, "source"),
                type=_text(raw, "type"),
                time=aware(dt.datetime.fromisoformat(_text(raw, "time"))),
                partition_key=_text(raw, "partitionkey"),
                correlation_id=_text(raw, "correlationid"),
                causation_id=_text_or_none(raw, "causationid"),
                traceparent=_text_or_none(raw, "traceparent"),
                data=raw["data"],
                body=body,
            )
        except KeyError as error:
            raise Malformed(f"/{error.args[0]}: missing") from None
        except ValueError as error:
            if isinstance(error, Malformed):
                raise
            raise Malformed("/time: not an RFC 3339 time with an offset") from None
        if not isinstance(envelope.data, dict):
            raise Malformed("/data: not an object")
        return envelope

    def event(self) -> Event[Fact]:
        """The message with its fact. Raises Malformed for an unknown type or data of another shape."""
        fact = CATALOGUE.get(self.type)
        if fact is None:
            raise Malformed("/type: not in the catalogue")
        return Event(
            id=self.id,
            source=self.source,
            time=self.time,
            partition_key=self.partition_key,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            traceparent=self.traceparent,
            data=read(fact, self.data),
        )


def decode(body: bytes) -> Event[Fact]:
    """The event in a message's bytes. Raises Malformed."""
    return Envelope.decode(body).event()


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str) or not value:
        raise Malformed(f"/{name}: not a text")
    return value


def _id(raw: Mapping[str, Any]) -> str:
    # Whoever receives a message remembers it by its id, and no database may cut that short: it might look
    # known, and its message be lost.
    value = _text(raw, "id")
    if len(value) > LONGEST_ID or "\0" in value:
        raise Malformed(f"/id: longer than {LONGEST_ID} characters, or with a NUL")
    return value


def _text_or_none(raw: Mapping[str, Any], name: str) -> str | None:
    # CloudEvents JSON format §2.2: null is the same as absent.
    return None if raw.get(name) is None else _text(raw, name)
