"""The broker port of the runtime. RabbitMQ and a fake implement it.

Delivery is at least once: when a process dies between a commit and its acknowledgement, the message is
delivered again. Each queue keeps its order, except for redelivered messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from contracts.errors import Unavailable
from contracts.quick_init import quick_init
from contracts.topology import PARTITION_HEADER, Topology, partition_of

# Bytes of a body that every broker of a hub takes (`max_message_size`). It closes the channel of a publisher
# that sends more, and no message behind it is confirmed.
MOST_MESSAGE_BYTES: Final = 4 * 1024 * 1024


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message to publish.

    exchange: one of `contracts.topology`; the publisher finds its own exchange at the broker
    (`published_to`).
    """

    exchange: str
    routing_key: str
    message_id: str
    partition_key: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    # Useless after its deadline (a request or a reply): not persisted, not returned when unroutable.
    transient: bool = False
    # The SHA-256 of each event's bytes, once they are signed (`WaveSigner`); empty before.
    digests: tuple[bytes, ...] = field(default=(), repr=False, compare=False)

    @property
    def is_too_large(self) -> bool:
        """Whether no broker takes it. Only checked before it reaches a publisher: see `Publisher.publish`."""
        return len(self.body) > MOST_MESSAGE_BYTES

    @property
    def all_headers(self) -> dict[str, str]:
        """Return the headers as published, including the partition key and the partition."""
        partition = str(partition_of(self.partition_key))
        return {**self.headers, "partitionkey": self.partition_key, PARTITION_HEADER: partition}


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A received event. tag: the delivery tag of its message, increasing within one consumer.

    Events of one batch share their tag; message_id and the header `partitionkey` are then the first event's.
    user_id: the broker user that published it, checked by the broker; None when the message states none.
    exchange: that it was published to; None when it comes from elsewhere, such as the table of retries.
    """

    tag: int
    queue: str
    routing_key: str
    message_id: str
    body: bytes
    headers: Mapping[str, str]
    redelivered: bool
    user_id: str | None = None
    exchange: str | None = None


class BrokerUnavailable(Unavailable):
    """The broker cannot be reached, or the connection broke."""


class PublishIncomplete(BrokerUnavailable):
    """The broker confirmed only the first `confirmed` messages; the state of the others is unknown.

    unroutable: the exchange and routing key without a bound queue, if that was the cause.
    """

    def __init__(self, confirmed: int, reason: str, *, unroutable: str | None = None) -> None:
        super().__init__(f"Publishing stopped after {confirmed} confirmed messages: {reason}.")
        self.confirmed = confirmed
        self.reason = reason
        self.unroutable = unroutable


class Publisher(Protocol):
    """A connection that only publishes: a blocked publisher must not stop a consumer."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish persistently and in order; return when every message is confirmed and in a queue.

        Raises PublishIncomplete; the connection is then dropped, and the next call opens another. Unconfirmed
        messages may be published again: consumers recognise duplicates by the message id. A message that is
        too large fails those behind it too, so a publisher of several messages checks each one first.
        """
        ...

    def tend(self) -> None:
        """Keep an idle connection alive with heartbeats. Call it every few seconds."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class Consumer(Protocol):
    """A connection that only consumes, from one or more queues."""

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """Wait up to `timeout` seconds for a first event; return it with others that arrived, up to `limit`.

        An event batch is never split, so the result may exceed `limit`. Raises BrokerUnavailable; the broker
        then redelivers unacknowledged messages to any consumer.
        """
        ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge everything up to the last of them. Raises BrokerUnavailable."""
        ...

    def end_waiting(self) -> None:
        """Let a `take` that waits return soon, and no later one wait, because the process stops.

        Called from another greenlet or thread. A broker that does not answer delays it until the timeout.
        """
        ...

    def close(self) -> None:
        """Close the connection; unacknowledged messages return to the queue."""
        ...


class PrivateConsumer(Consumer, Protocol):
    """A consumer with a private queue that ends with its connection, for replies."""

    @property
    def name(self) -> str | None:
        """Return the queue's name while connected; each connection has a new one."""
        ...


class QueueReader(Protocol):
    """A connection that inspects queues and exchanges; it consumes and declares none. For one thread."""

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """Return the number of messages in each queue, including those that an operator browses.

        Raises BrokerUnavailable; the next call opens another connection.
        """
        ...

    def missing(self, topology: Topology) -> tuple[str, ...]:
        """Return what the broker lacks: names of exchanges and queues, and bindings where it can read them.

        Raises BrokerUnavailable, as `counts`. While the bindings cannot be compared, those that were missing
        at the last comparison count as missing.
        """
        ...

    def strays(self, topology: Topology) -> tuple[str, ...]:
        """Return what the topology does not declare, where exchanges, queues and bindings can be listed.

        Names are short and printable. While the broker lists nothing, the last result counts. Call it after
        `missing`.
        """
        ...

    def uncompared(self) -> str | None:
        """Return why the last `missing` could not compare the bindings; None if it could, or need not."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class Broker(Protocol):
    """The message broker of one hub."""

    def declare(self, topology: Topology) -> None:
        """Declare every exchange, queue and binding, which a service's user may not. Repeatable.

        Raises BrokerUnavailable.
        """
        ...

    def publisher(self) -> Publisher:
        """Return a new publisher; it connects on first use."""
        ...

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:
        """Return a new consumer; it connects on first use. prefetch: unacknowledged messages per queue."""
        ...

    def queue_reader(self) -> QueueReader:
        """Return a new reader; it connects on first use."""
        ...

    def private_consumer(self, service: str) -> PrivateConsumer:
        """Return a new consumer with a private, temporary queue for replies to the service."""
        ...
