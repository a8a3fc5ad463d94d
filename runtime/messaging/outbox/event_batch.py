"""Event batches: several events in one AMQP message.

A message costs the broker, the relay and every consumer about the same, whatever its size. So the events of
one transaction are batched by route before they become outbox rows. The broker adapter splits batches on the
consuming side: no other code sees one, and each event is processed, deduplicated and dead-lettered
separately.

Format: CloudEvents JSON batch, with one line for each event. An event without line breaks between its tokens
contains none at all, so events are split as bytes, without parsing.
Source: CloudEvents 1.0.2, JSON event format §4 (`application/cloudevents-batch+json`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.topology import route_for
from runtime.messaging.ports import Outgoing

CONTENT_TYPE = "application/cloudevents-batch+json"
# Small enough that a consumer's prefetch (200 messages per queue) is at most 13 MB, large enough that the
# cost of a message does not matter.
MOST_EVENTS = 50
MOST_BYTES = 64 * 1024

_OPENING, _BETWEEN, _CLOSING = b"[\n", b",\n", b"\n]"
_EMPTY = len(_OPENING) + len(_CLOSING)


class _Open:
    """A batch that is not full yet. place: its index among the batches of one call."""

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
    """Return the same events in fewer messages. A batch has the id and partition key of its first event.

    Events with the same partition key keep their order, and so do events with the same route
    (`contracts.topology.route_for`); others may be reordered. A message with its own headers, or whose body
    is not a JSON object on one line, is not batched.
    """
    batches: list[_Open] = []
    latest_of_route: dict[object, _Open] = {}
    latest_of_key: dict[str, int] = {}
    for message in messages:
        route = route_for(message.exchange, message.routing_key, message.partition_key)
        batch = latest_of_route.get(route)
        if (
            batch is None
            # An earlier event with this key is in a later batch.
            or latest_of_key.get(message.partition_key, 0) > batch.place
            or not batch.has_room_for(message)
            or not _is_batchable(message)
        ):
            batch = _Open(message, len(batches))
            batches.append(batch)
            if _is_batchable(message):
                latest_of_route[route] = batch
            else:
                # Later messages on the same route must not overtake it.
                latest_of_route.pop(route, None)
        else:
            batch.add(message)
        latest_of_key[message.partition_key] = batch.place
    return [_closed(batch) for batch in batches]


def joined(events: Sequence[bytes]) -> bytes:
    """Return the body of one message with these events, each on one line; `decode_batch` splits it again."""
    return events[0] if len(events) == 1 else _OPENING + _BETWEEN.join(events) + _CLOSING


def decode_batch(body: bytes) -> list[bytes]:
    """Return the bodies of the events in a message; a message that is not a batch is one event."""
    if not is_batch(body):
        return [body]
    return body[len(_OPENING) : -len(_CLOSING)].split(_BETWEEN)


def event_count(body: bytes) -> int:
    """Return the number of events in a message."""
    return body.count(_BETWEEN) + 1 if is_batch(body) else 1


def is_batch(body: bytes) -> bool:
    """Return whether a message's body has the format of a batch."""
    return len(body) >= _EMPTY and body.startswith(_OPENING) and body.endswith(_CLOSING)


def _is_batchable(message: Outgoing) -> bool:
    is_line = message.body.startswith(b"{") and b"\n" not in message.body
    return is_line and not message.headers and not message.transient


def _closed(batch: _Open) -> Outgoing:
    first = batch.first
    if len(batch.bodies) == 1:
        return first
    return Outgoing(
        exchange=first.exchange,
        routing_key=first.routing_key,
        message_id=first.message_id,
        partition_key=first.partition_key,
        body=joined(batch.bodies),
    )
