"""Parking: where a message goes that cannot be processed, with its reason, to wait for a person.

A parked message keeps its bytes. Its headers say which consumer gave up on it, why, when, and where it
came from, so that it can be put back. The reason never repeats content: an unforeseen error is named by
its class and the line of ours that it came from.
"""

from __future__ import annotations

import datetime as dt
import traceback
from pathlib import Path

from contracts.envelope import LONGEST_ID, Envelope
from contracts.errors import KopuroError
from contracts.records import Malformed
from contracts.topology import DIRECT, dead_letter_queue_name
from runtime.messaging.ports import Delivery, Outgoing

REASON = "kopuro-reason"
FIRST_SEEN = "kopuro-first-seen"
QUEUE = "kopuro-queue"
ROUTING_KEY = "kopuro-routing-key"

_ROOT = Path(__file__).parents[3]


def dead_letter_of(delivery: Delivery, *, consumer: str, reason: str, now: dt.datetime) -> Outgoing:
    """The message for the consumer's parking queue, under the event's own id and partition key where those
    can be read: what came with the delivery may be said of another event in the same parcel."""
    try:
        envelope = Envelope.decode(delivery.body)
        message_id, partition_key = envelope.id, envelope.partition_key
    except Malformed:
        message_id, partition_key = delivery.message_id, delivery.headers.get("partitionkey", "")
    return Outgoing(
        exchange=DIRECT,
        routing_key=dead_letter_queue_name(consumer),
        message_id=_storable(message_id or "unknown", LONGEST_ID),
        partition_key=_storable(partition_key, 200),
        body=delivery.body,
        headers={
            REASON: _storable(reason, 500),
            FIRST_SEEN: _storable(delivery.headers.get(FIRST_SEEN, now.isoformat()), 40),
            QUEUE: delivery.queue,
            ROUTING_KEY: _storable(delivery.routing_key, 255),
        },
    )


def _storable(text: str, length: int) -> str:
    # A message that can be neither processed nor parked would stop its queue: AMQP allows longer texts,
    # NUL and half a surrogate pair, and PostgreSQL does not.
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:length]


def reason_of(error: BaseException) -> str:
    """Why, in one line without content: our own errors in their words, others by class and place."""
    if isinstance(error, KopuroError | Malformed):
        return f"{type(error).__name__}: {error}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and ".venv" not in path.parts:
            return f"{type(error).__name__} at {path.relative_to(_ROOT)}:{frame.lineno}"
    return type(error).__name__
