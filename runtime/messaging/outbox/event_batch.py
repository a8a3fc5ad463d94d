"""Parcels: several events in one AMQP message.

A message costs the broker, the relay and every consumer much the same, whatever it holds. So the events
that one transaction causes are packed, as far as they go the same way, before they become rows of the
outbox. The consuming side of the broker unpacks them: nobody else sees a parcel, and each event takes effect,
is known to the inbox, and is parked by itself.

Form: the CloudEvents JSON batch format, with a line for each event. An event without line breaks between
its tokens has none at all, so events are cut out as the bytes they are, without being parsed.
Source: CloudEvents 1.0.2, JSON event format §4 (`application/cloudevents-batch+json`).
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.topology import route_for
from runtime.messaging.ports import Outgoing

CONTENT_TYPE = "application/cloudevents-batch+json"
# Small enough that what a consumer is sent ahead (200 messages a queue) is 13 MB at the most, large enough
# that the message itself is no burden.
MOST_EVENTS = 50
MOST_BYTES = 64 * 1024

_OPENING, _BETWEEN, _CLOSING = b"[\n", b",\n", b"\n]"
_EMPTY = len(_OPENING) + len(_CLOSING)


class _Open:
    """A parcel that can still be added to. place: its number among those of one packing."""

    __slots__ = ("bodies", "first", "place", "size")

    def __init__(self, first: Outgoing, place: int) -> None:
        self.first = first
        self.place = place
        self.bodies = [first.body]
        self.size = len(first.body)

    def has_room_for(self, message: Outgoing) -> bool:
        return len(self.bodies) < MOST_EVENTS and self.size + len(message.body) <= MOST_BYTES

    def add(self, message: Outgoing) -> None:
        self.bodies.append(message.body)
        self.size += len(message.body)


def encode_batch(messages: Iterable[Outgoing]) -> list[Outgoing]:
    """The same events in fewer messages: a parcel bears the id and the partition key of its first event.

    Events with one partition key keep their order, and so do those that go the same way
    (`contracts.topology.way_of`); others may change places. What has headers of its own, or is not
    a JSON object on one line, travels alone.
    """
    parcels: list[_Open] = []
    latest_of_way: dict[object, _Open] = {}
    latest_of_key: dict[str, int] = {}
    for message in messages:
        way = route_for(message.exchange, message.routing_key, message.partition_key)
        parcel = latest_of_way.get(way)
        if (
            parcel is None
            # An earlier event of this key lies in a parcel that leaves later.
            or latest_of_key.get(message.partition_key, 0) > parcel.place
            or not parcel.has_room_for(message)
            or not _is_batchable(message)
        ):
            parcel = _Open(message, len(parcels))
            parcels.append(parcel)
            if _is_batchable(message):
                latest_of_way[way] = parcel
            else:
                # What comes after it on its way must not overtake it.
                latest_of_way.pop(way, None)
        else:
            parcel.add(message)
        latest_of_key[message.partition_key] = parcel.place
    return [_sealed(parcel) for parcel in parcels]


def decode_batch(body: bytes) -> list[bytes]:
    """The bodies of the events in a message, one where it is no parcel. Nothing is dropped."""
    if not is_batch(body):
        return [body]
    return body[len(_OPENING) : -len(_CLOSING)].split(_BETWEEN)


def event_count(body: bytes) -> int:
    """How many events are in a message."""
    return body.count(_BETWEEN) + 1 if is_batch(body) else 1


def is_batch(body: bytes) -> bool:
    """Whether a message's body has the form of a parcel."""
    return len(body) >= _EMPTY and body.startswith(_OPENING) and body.endswith(_CLOSING)


def _is_batchable(message: Outgoing) -> bool:
    is_line = message.body.startswith(b"{") and b"\n" not in message.body
    return is_line and not message.headers and not message.transient


def _sealed(parcel: _Open) -> Outgoing:
    first = parcel.first
    if len(parcel.bodies) == 1:
        return first
    return Outgoing(
        exchange=first.exchange,
        routing_key=first.routing_key,
        message_id=first.message_id,
        partition_key=first.partition_key,
        body=_OPENING + _BETWEEN.join(parcel.bodies) + _CLOSING,
    )
