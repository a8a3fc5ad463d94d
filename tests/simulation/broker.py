"""A broker with all faults that AMQP allows: lost confirms, broken connections, redelivery.

Within one queue the order holds, except for redeliveries. Between queues there is no order, because the
schedule chooses which queue is read next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.broker_rights import user_name
from contracts.topology import Topology, hub_topology, partition_of
from runtime.messaging.memory import (
    MemoryBroker,
    MemoryConsumer,
    MemoryPrivateConsumer,
    MemoryPublisher,
    MemoryQueueReader,
)
from runtime.messaging.ports import BrokerUnavailable, Delivery, Outgoing, PublishIncomplete

TOPOLOGY = hub_topology()
# Keyed by exchange, routing key and partition.
_ROUTES: dict[tuple[str, str, int], set[str]] = {}


class UnreliableBroker(MemoryBroker):
    """down: unreachable; its queues keep their messages. cut: where a wave's connection breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        # (messages) -> (how many are confirmed, how many are in their queues), or None: all of both
        self.cut: Callable[[int], tuple[int, int] | None] = lambda messages: None
        self.loses_acknowledgement: Callable[[], bool] = lambda: False
        self.declare(TOPOLOGY)

    def publisher_of(self, service: str) -> MemoryPublisher:
        """Return a publisher with the broker user and the exchanges of the service."""
        return _Publisher(self, service)

    def consumer(self, queues: Sequence[str], prefetch: int) -> MemoryConsumer:
        """See `ports.Broker`."""
        return _Consumer(self, queues, prefetch)

    def route(self, exchange: str, message: Outgoing) -> set[str]:
        """Route like the parent, with a cache for all stories: the topology never changes."""
        place = (exchange, message.routing_key, partition_of(message.partition_key))
        if place not in _ROUTES:
            _ROUTES[place] = super().route(exchange, message)
        return _ROUTES[place]

    def ready(self) -> dict[str, int]:
        """Return the number of waiting messages of each queue that is not empty."""
        return {name: len(queue.ready) for name, queue in self.queues.items() if queue.ready}


class ServiceConnections:
    """The broker as one service connects to it."""

    def __init__(self, broker: UnreliableBroker, service: str) -> None:
        self._broker = broker
        self._service = service

    def declare(self, topology: Topology) -> None:
        """See `ports.Broker`."""
        self._broker.declare(topology)

    def publisher(self) -> MemoryPublisher:
        """See `ports.Broker`."""
        return self._broker.publisher_of(self._service)

    def consumer(self, queues: Sequence[str], prefetch: int) -> MemoryConsumer:
        """See `ports.Broker`."""
        return self._broker.consumer(queues, prefetch)

    def queue_reader(self) -> MemoryQueueReader:
        """See `ports.Broker`."""
        return self._broker.queue_reader()

    def private_consumer(self, service: str) -> MemoryPrivateConsumer:
        """See `ports.Broker`."""
        return self._broker.private_consumer(service)


class _Publisher(MemoryPublisher):
    def __init__(self, broker: UnreliableBroker, service: str) -> None:
        super().__init__(broker, service=service, user=user_name("kg", service))
        self._unreliable = broker

    def publish(self, messages: Sequence[Outgoing]) -> None:
        if self._unreliable.down:
            raise PublishIncomplete(0, "the broker is down")
        cut = self._unreliable.cut(len(messages))
        if cut is None:
            super().publish(messages)
            return
        confirmed, arrived = cut
        super().publish(messages[:arrived])
        raise PublishIncomplete(confirmed, "the connection broke")


class _Consumer(MemoryConsumer):
    def __init__(self, broker: UnreliableBroker, queues: Sequence[str], prefetch: int) -> None:
        super().__init__(broker, queues, prefetch)
        self._unreliable = broker

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        if self._unreliable.down:
            raise BrokerUnavailable("The broker is down.")
        return super().take(limit, timeout)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if self._unreliable.down or self._unreliable.loses_acknowledgement():
            raise BrokerUnavailable("The connection broke before the acknowledgement.")
        super().acknowledge(deliveries)
