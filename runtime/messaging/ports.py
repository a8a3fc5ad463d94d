"""What the rest of the runtime needs of a broker. RabbitMQ implements it, and so does a fake.

Delivery is at least once: between a commit and its acknowledgement a process may die, and the message
comes again. Order holds within one queue, but for what is redelivered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import Unavailable
from contracts.topology import PARTITION_HEADER, Topology, partition_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message on its way out. exchange "" with a queue's name as routing key goes to that queue."""

    exchange: str
    routing_key: str
    message_id: str
    partition_key: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    # Worth nothing after its deadline (a question, its answer): not kept on disk, not returned.
    transient: bool = False

    @property
    def all_headers(self) -> dict[str, str]:
        """Its headers as it travels: with its partition key, and the partition that follows from it."""
        partition = str(partition_of(self.partition_key))
        return {**self.headers, "partitionkey": self.partition_key, PARTITION_HEADER: partition}


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """An event that arrived. tag: the broker's number for the message it came in, rising along one consumer.

    Events of one parcel share their tag; message_id and the header `partitionkey` are then the first one's.
    """

    tag: int
    queue: str
    routing_key: str
    message_id: str
    body: bytes
    headers: Mapping[str, str]
    redelivered: bool


class BrokerUnavailable(Unavailable):
    """The broker cannot be reached, or the connection broke."""


class PublishIncomplete(BrokerUnavailable):
    """Only the first `confirmed` messages are safe with the broker; of the others nothing is known.

    unroutable: the exchange and key that no queue is bound to, when that was the cause.
    """

    def __init__(self, confirmed: int, reason: str, *, unroutable: str | None = None) -> None:
        super().__init__(f"Publishing stopped after {confirmed} confirmed messages: {reason}.")
        self.confirmed = confirmed
        self.reason = reason
        self.unroutable = unroutable


class Publisher(Protocol):
    """One connection that only publishes (a blocked publisher must not stop a consumer)."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publishes persistently and in order; returns when every one is confirmed and in a queue.

        Raises PublishIncomplete; the connection is then thrown away and the next call opens another.
        Publishing what was not confirmed again is right: consumers know duplicates by the message id.
        """
        ...

    def tend(self) -> None:
        """Keeps an idle connection alive (heartbeats); to be called every few seconds."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class Consumer(Protocol):
    """One connection that only consumes, from one queue or several."""

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """Waits up to `timeout` seconds for a first event, then adds what has arrived, up to `limit`.

        A parcel comes whole, and may bring some more than `limit`.
        Raises BrokerUnavailable; what was not acknowledged is then delivered again, to anybody.
        """
        ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Lets the broker forget everything up to the last of them. Raises BrokerUnavailable."""
        ...

    def close(self) -> None:
        """Ends the connection; what was not acknowledged goes back to the queue."""
        ...


class PrivateConsumer(Consumer, Protocol):
    """A consumer of a queue of its own that ends with its connection: for answers to questions."""

    @property
    def name(self) -> str | None:
        """The queue's name while connected; another one after each reconnection."""
        ...


class QueueReader(Protocol):
    """One connection that asks how much lies in queues, and takes nothing."""

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """How many messages wait in each queue. Those that an operator looks at (`browsing`) count too.

        Raises BrokerUnavailable; the next call opens another connection.
        """
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class Broker(Protocol):
    """A message broker of one hub."""

    def declare(self, topology: Topology) -> None:
        """Makes every exchange, queue and binding exist. Repeatable. Raises BrokerUnavailable."""
        ...

    def publisher(self) -> Publisher:
        """A new publisher; it connects on first use."""
        ...

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:
        """A new consumer; it connects on first use. prefetch: unacknowledged messages a queue, at most."""
        ...

    def queue_reader(self) -> QueueReader:
        """A new reader; it connects on first use."""
        ...

    def private_consumer(self) -> PrivateConsumer:
        """A new consumer with a queue that nobody else can read and that no one will miss."""
        ...
