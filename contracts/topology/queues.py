"""Work queues and dead-letter queues."""

from __future__ import annotations

from contracts.topology.elements import Queue
from contracts.topology.exchanges import DIRECT

DEAD_LETTER_SUFFIX = ".parked"
# After this many redeliveries (a process that dies on the message each time), the broker itself dead-letters
# a message. High, because the other prefetched messages are counted too.
DELIVERY_LIMIT = 100


def dead_letter_queue_name(consumer: str) -> str:
    """Return the name of the queue for messages that the consumer could not process."""
    return consumer + DEAD_LETTER_SUFFIX


def work_queue(name: str, consumer: str) -> Queue:
    """Return a durable quorum queue with a single active consumer: effects follow the queue's order."""
    return Queue(
        name=name,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DIRECT,
            "x-dead-letter-routing-key": dead_letter_queue_name(consumer),
            # at-least-once requires reject-publish; with at-most-once a dead letter can be lost
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def dead_letter_queue(consumer: str) -> Queue:
    """Return the queue in which a consumer's dead letters wait for an operator."""
    # Browsing the queue counts as a delivery, and RabbitMQ 4 drops a message after 20 deliveries by default.
    return Queue(
        name=dead_letter_queue_name(consumer),
        arguments={"x-queue-type": "quorum", "x-delivery-limit": 1_000_000},
    )
