"""Counts of the messages in RabbitMQ queues, over a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import amqp
from amqp.exceptions import NotFound, ResourceLocked

from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.browser import looked_at
from runtime.messaging.rabbit.connection import BROKEN, ConnectionFactory, abandon, close

# A broker that does not reply by then counts as unavailable.
ANSWER_SECONDS = 5.0


class RabbitQueueReader:
    """See `ports.QueueReader`. Call it every few seconds: the calls replace heartbeats."""

    def __init__(self, connection_factory: ConnectionFactory) -> None:
        self._connection_factory = connection_factory
        self._link: amqp.Connection | None = None
        self._channel: Any = None
        self._known: dict[str, int] = {}

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """See `ports.QueueReader`."""
        try:
            if self._link is None:
                self._link = self._connection_factory.connect()
                self._link.sock.settimeout(ANSWER_SECONDS)
                self._channel = self._link.channel()
            for queue in queues:
                self._known[queue] = self._count(self._link, queue)
        except BROKEN as error:
            self._drop()
            raise BrokerUnavailable(
                f"Counting the messages in the queues failed ({type(error).__name__})."
            ) from error
        return {queue: self._known[queue] for queue in queues}

    def close(self) -> None:
        """See `ports.QueueReader`."""
        if self._link is not None:
            close(self._link)
        self._link = self._channel = None

    def _count(self, link: amqp.Connection, queue: str) -> int:
        count = self._ready(queue)
        known = self._known.get(queue, 0)
        if count >= known:
            return count
        # Fewer than before: perhaps an operator browses the queue, which makes its messages unacknowledged.
        if _is_looked_at(link, queue):
            return known
        return self._ready(queue)

    def _ready(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).message_count)

    def _drop(self) -> None:
        if self._link is not None:
            abandon(self._link)
        self._link = self._channel = None


def _is_looked_at(link: amqp.Connection, queue: str) -> bool:
    channel = link.channel()
    try:
        channel.queue_declare(looked_at(queue), passive=True)
    except ResourceLocked:
        return True
    except NotFound:
        return False
    channel.close()
    return True
