"""The message envelope: CloudEvents 1.0 in structured JSON, with extension attributes.

Source: CloudEvents 1.0.2 §3 (attributes), JSON event format §3; W3C Trace Context (`traceparent`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Generic, NoReturn, TypeVar

import orjson

from contracts.errors import Defect
from contracts.facts import CATALOGUE, Fact
from contracts.quick_init import quick_init
from contracts.records import Malformed, read
from contracts.rfc3339 import in_utc
from contracts.topology import EVENTS

CONTENT_TYPE = "application/cloudevents+json"
LONGEST_ID = 64
# Integers of 2^53 or more are the only values that orjson writes and RFC 8785 rejects. Sealed messages are
# never logged.
_OPTIONS = orjson.OPT_UTC_Z
_LOGGABLE_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_STRICT_INTEGER

# The attributes that each message has as a text, in the order of `Envelope`.
_REQUIRED = ("id", "source", "type", "time", "partitionkey", "correlationid")
_TEXTS = itemgetter(*_REQUIRED)
_ONLY_TEXTS = {str}

F_co = TypeVar("F_co", bound=Fact, covariant=True)


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Event(Generic[F_co]):
    """A fact in its envelope.

    source: `/<hub>/<service>`. partition_key: the referral id, or the id of the changed record; messages
    with the same partition key keep their order. correlation_id: the first message of the exchange.
    causation_id: the message that caused this one, None for the first.
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
            raise ValueError("a datetime must not be naive: it needs a time zone")

    @property
    def type(self) -> str:
        """Return the CloudEvents type, `kopuro.<subject>.<fact>.v<N>`."""
        return self.data.type

    def encode(self, *, traceparent: str | None = None) -> bytes:
        """Return the message's bytes. Raises Defect for a fact without canonical JSON: it is not loggable.

        traceparent: of an event that has none.
        """
        data = self.data
        message = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": data.type,
            "subject": self.partition_key,
            "time": in_utc(self.time),
            "datacontenttype": "application/json",
            "dataclassification": data.classification,
            "partitionkey": self.partition_key,
            "correlationid": self.correlation_id,
            "causationid": self.causation_id,
            "traceparent": traceparent if self.traceparent is None else self.traceparent,
            "data": data,
        }
        if data.exchange != EVENTS:
            return orjson.dumps(message, option=_OPTIONS)
        try:
            return orjson.dumps(message, option=_LOGGABLE_OPTIONS)
        except orjson.JSONEncodeError:
            # Raises the same error again unless a large integer was its cause.
            orjson.dumps(message, option=_OPTIONS)
            raise Defect(f"A {data.type} contains an integer of 2^53 or more.") from None


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A message whose fact has not been parsed. Audit and delivery need no more of most messages."""

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
        """Parse a message. Raises Malformed for bytes that are no CloudEvent; ignores unknown attributes."""
        id_, source, type_, time, partition_key, correlation_id, causation_id, traceparent, data = _read(body)
        return cls(
            id=id_,
            source=source,
            type=type_,
            time=time,
            partition_key=partition_key,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
            data=data,
            body=body,
        )

    def event(self) -> Event[Fact]:
        """Return the message with its fact. Raises Malformed for an unknown type or data of another shape."""
        return Event(
            id=self.id,
            source=self.source,
            time=self.time,
            partition_key=self.partition_key,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            traceparent=self.traceparent,
            data=_fact(self.type, self.data),
        )


def decode(body: bytes) -> Event[Fact]:
    """Return the event in a message's bytes. Raises Malformed.

    It is equal to `Envelope.decode(body).event()`, without the envelope in between.
    """
    id_, source, type_, time, partition_key, correlation_id, causation_id, traceparent, data = _read(body)
    return Event(
        id=id_,
        source=source,
        time=time,
        partition_key=partition_key,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
        data=_fact(type_, data),
    )


def _read(
    body: bytes,
) -> tuple[str, str, str, dt.datetime, str, str, str | None, str | None, Mapping[str, Any]]:
    """Return a message's attributes and data in the order of `Envelope`. Raises Malformed."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("not JSON") from None
    if not isinstance(raw, dict) or raw.get("specversion") != "1.0":
        raise Malformed("/specversion: not a CloudEvent of version 1.0")
    try:
        texts = _TEXTS(raw)
        # At once: nearly every message passes, and a call for each text takes twice as long.
        if {*map(type, texts)} != _ONLY_TEXTS or not all(texts):
            _refuse_texts(raw)
        id_, source, type_, time, partition_key, correlation_id = texts
        # Receivers deduplicate messages by id. A database that truncated an id could make a new message look
        # known, and the message would be lost.
        if len(id_) > LONGEST_ID or "\0" in id_:
            raise Malformed(f"/id: longer than {LONGEST_ID} characters, or contains a NUL")
        found = (
            id_,
            source,
            type_,
            in_utc(dt.datetime.fromisoformat(time)),
            partition_key,
            correlation_id,
            _text_or_none(raw, "causationid"),
            _text_or_none(raw, "traceparent"),
            raw["data"],
        )
    except KeyError as error:
        raise Malformed(f"/{error.args[0]}: missing") from None
    except ValueError as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("/time: not an RFC 3339 time with an offset") from None
    if not isinstance(found[-1], dict):
        raise Malformed("/data: not an object")
    return found


def _fact(type_: str, data: Mapping[str, Any]) -> Fact:
    fact = CATALOGUE.get(type_)
    if fact is None:
        raise Malformed("/type: not in the catalogue")
    return read(fact, data)


def _refuse_texts(raw: Mapping[str, Any]) -> NoReturn:
    """Raise Malformed for the first required attribute that is not a text, or empty."""
    name = next(name for name in _REQUIRED if not isinstance(raw[name], str) or not raw[name])
    raise Malformed(f"/{name}: not a text")


def _text_or_none(raw: Mapping[str, Any], name: str) -> str | None:
    # CloudEvents JSON format §2.2: null is the same as absent.
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise Malformed(f"/{name}: not a text")
    return value
