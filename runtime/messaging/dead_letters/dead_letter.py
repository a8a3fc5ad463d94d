"""Dead-lettering: moves a message that cannot be processed to a dead-letter queue, with the reason.

A dead letter keeps its bytes and its signature. Its headers name the consumer, the reason, the time and the
original queue, so that it can be replayed. The reason never repeats content: an unexpected error is named by
its class and the line of our code that raised it.
"""

from __future__ import annotations

import datetime as dt
import traceback
from pathlib import Path

from contracts.envelope import LONGEST_ID, Envelope
from contracts.errors import KopuroError
from contracts.records import Malformed
from contracts.topology import DEAD_LETTERS, dead_letter_queue_name
from runtime.messaging.headers import REASON as REASON
from runtime.messaging.headers import SIGNED
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.signatures.statement import LONGEST_PROOF

FIRST_SEEN = "kopuro-first-seen"
QUEUE = "kopuro-queue"
EXCHANGE = "kopuro-exchange"
ROUTING_KEY = "kopuro-routing-key"

# The folder of our packages, and those that a service runs. A wheel installs them beside others' packages.
_ROOT = Path(__file__).parents[3]
_OURS = frozenset({"contracts", "runtime", "services"})


def dead_letter_of(delivery: Delivery, *, consumer: str, reason: str, now: dt.datetime) -> Outgoing:
    """Return the message for the consumer's dead-letter queue.

    It has the event's own id and partition key when they can be read: in an event batch, the delivery's
    headers may belong to another event.
    """
    try:
        envelope = Envelope.decode(delivery.body)
        message_id, partition_key = envelope.id, envelope.partition_key
    except Malformed:
        message_id, partition_key = delivery.message_id, delivery.headers.get("partitionkey", "")
    headers = {
        REASON: _storable(reason, 500),
        FIRST_SEEN: _storable(delivery.headers.get(FIRST_SEEN, now.isoformat()), 40),
        QUEUE: delivery.queue,
        ROUTING_KEY: _storable(delivery.routing_key, 255),
    }
    if delivery.exchange:
        # One service's user alone may publish to it: it tells whose password a forger has.
        headers[EXCHANGE] = _storable(delivery.exchange, 255)
    if proof := delivery.headers.get(SIGNED):
        # Verified again after a replay. A longer text cannot be one of our proofs.
        headers[SIGNED] = _storable(proof, LONGEST_PROOF)
    return Outgoing(
        exchange=DEAD_LETTERS,
        routing_key=dead_letter_queue_name(consumer),
        message_id=_storable(message_id or "unknown", LONGEST_ID),
        partition_key=_storable(partition_key, 200),
        body=delivery.body,
        headers=headers,
    )


def _storable(text: str, length: int) -> str:
    # A message that can be neither processed nor dead-lettered would block its queue. AMQP allows longer
    # texts, NUL and lone surrogates; PostgreSQL does not.
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:length]


def reason_of(error: BaseException) -> str:
    """Return the reason in one line without content: the text of our own errors, else class and place."""
    if isinstance(error, KopuroError | Malformed):
        return f"{type(error).__name__}: {error}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _OURS:
            return f"{type(error).__name__} at {path.relative_to(_ROOT)}:{frame.lineno}"
    return type(error).__name__
