"""An in-memory fake of the broker. The same behaviour suite tests it and RabbitMQ.

It implements what tests of handlers need: topic and headers exchanges, order, redelivery, single active
consumers, and returns of unroutable messages. It is not durable, and its connections never break.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.topology import (
    DIRECT,
    REPLIES,
    Binding,
    Topology,
    published_to,
    reply_queue_prefix,
    topic_matches,
)
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.ports import BrokerUnavailable, Delivery, Outgoing, PublishIncomplete


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """A message with the user who published it."""

    message: Outgoing
    user: str | None


class _Queue:
    def __init__(self, name: str, *, single: bool) -> None:
        self.name = name
        self.single = single  # single active consumer: only the oldest consumer receives messages
        self.ready: deque[tuple[PublishedMessage, bool]] = deque()
        self.consumers: list[MemoryConsumer] = []


class MemoryBroker:
    """A broker inside the process; thread-safe."""

    def __init__(self, user: str | None = None) -> None:
        """user: states itself as the author of every message."""
        self.changed = threading.Condition()
        self.queues: dict[str, _Queue] = {}
        self.private_numbers = itertools.count()
        self._user = user
        self._exchanges: dict[str, str] = {}
        self._bindings: list[Binding] = []

    def declare(self, topology: Topology) -> None:
        """See `ports.Broker`."""
        with self.changed:
            for exchange in topology.exchanges:
                self._exchanges[exchange.name] = exchange.kind
            for queue in topology.queues:
                single = bool(queue.arguments.get("x-single-active-consumer"))
                self.queues.setdefault(queue.name, _Queue(queue.name, single=single))
            for binding in topology.bindings:
                if binding not in self._bindings:
                    self._bindings.append(binding)

    def publisher(self) -> MemoryPublisher:
        """See `ports.Broker`."""
        return MemoryPublisher(self, user=self._user)

    def consumer(self, queues: Sequence[str], prefetch: int) -> MemoryConsumer:
        """See `ports.Broker`."""
        return MemoryConsumer(self, queues, prefetch)

    def queue_reader(self) -> MemoryQueueReader:
        """See `ports.Broker`."""
        return MemoryQueueReader(self)

    def private_consumer(self, service: str) -> MemoryPrivateConsumer:
        """See `ports.Broker`."""
        return MemoryPrivateConsumer(self, service)

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        self._bindings.append(binding)

    def unbind(self, queue: str) -> None:
        """Remove the bindings of a queue that ends."""
        self._bindings = [binding for binding in self._bindings if binding.destination != queue]

    def lose(self, queue: str) -> None:
        """Delete a queue with its messages and bindings, as a broker that lost its data."""
        with self.changed:
            del self.queues[queue]
            self.unbind(queue)

    def missing(self, topology: Topology) -> tuple[str, ...]:
        """Return the names that do not exist."""
        wanted = [one.name for one in topology.exchanges if one.name not in self._exchanges]
        return (*wanted, *(one.name for one in topology.queues if one.name not in self.queues))

    def knows(self, exchange: str) -> bool:
        """Return whether the exchange exists."""
        return exchange == DIRECT or exchange in self._exchanges

    def route(self, exchange: str, message: Outgoing) -> set[str]:
        """Return the names of the queues that the exchange routes the message to."""
        if exchange == DIRECT:
            return {message.routing_key} & self.queues.keys()
        by_headers = self._exchanges[exchange] == "headers"
        matches = _headers_binding_matches if by_headers else _topic_binding_matches
        found: set[str] = set()
        for binding in self._bindings:
            if binding.source == exchange and matches(binding, message):
                to = binding.destination
                found |= self.route(to, message) if binding.to_exchange else {to}
        return found


def _topic_binding_matches(binding: Binding, message: Outgoing) -> bool:
    return topic_matches(binding.key, message.routing_key)


def _headers_binding_matches(binding: Binding, message: Outgoing) -> bool:
    headers = message.all_headers
    wanted = {name: value for name, value in binding.arguments.items() if not name.startswith("x-")}
    return all(headers.get(name) == value for name, value in wanted.items())


class MemoryPublisher:
    """See `ports.Publisher`."""

    def __init__(self, broker: MemoryBroker, *, service: str | None = None, user: str | None = None) -> None:
        """service: publishes to its own exchanges; None: to those of each fact's owner."""
        self._broker = broker
        self._service = service
        self._user = user

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See `ports.Publisher`."""
        with self._broker.changed:
            for confirmed, message in enumerate(messages):
                if message.is_too_large:
                    raise PublishIncomplete(confirmed, "a message is larger than the broker takes")
                exchange = published_to(message.exchange, message.routing_key, self._service)
                if not self._broker.knows(exchange):
                    raise PublishIncomplete(confirmed, "the exchange does not exist")
                names = self._broker.route(exchange, message)
                if not names and not message.transient:
                    place = f"{exchange or '(default)'} {message.routing_key}"
                    reason = f"a message is unroutable ({place})"
                    raise PublishIncomplete(confirmed, reason, unroutable=place)
                for name in names:
                    self._broker.queues[name].ready.append((PublishedMessage(message, self._user), False))
                self._broker.changed.notify_all()

    def tend(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryConsumer:
    """See `ports.Consumer`."""

    def __init__(self, broker: MemoryBroker, queues: Sequence[str], prefetch: int) -> None:
        self._broker = broker
        self._names = queues
        self._prefetch = prefetch
        self._queues: list[_Queue] = []  # empty while not connected
        self._unacknowledged: deque[tuple[int, _Queue, PublishedMessage]] = deque()
        self._last_tag = 0
        self._is_ending = False

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """See `ports.Consumer`."""
        with self._broker.changed:
            if not self._queues:
                self._connect()
            self._broker.changed.wait_for(lambda: self._is_ending or self._next_queue(), timeout)
            taken: list[Delivery] = []
            while len(taken) < limit and (queue := self._next_queue()):
                published, redelivered = queue.ready.popleft()
                message = published.message
                self._last_tag += 1
                self._unacknowledged.append((self._last_tag, queue, published))
                taken.extend(
                    Delivery(
                        tag=self._last_tag,
                        queue=queue.name,
                        routing_key=message.routing_key,
                        message_id=message.message_id,
                        body=event,
                        headers=message.all_headers,
                        redelivered=redelivered,
                        user_id=published.user,
                        exchange=message.exchange,
                    )
                    for event in decode_batch(message.body)
                )
            return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `ports.Consumer`."""
        if not deliveries:
            return
        with self._broker.changed:
            if not self._queues:
                raise BrokerUnavailable("The connection of these messages is closed.")
            while self._unacknowledged and self._unacknowledged[0][0] <= deliveries[-1].tag:
                self._unacknowledged.popleft()
            self._broker.changed.notify_all()

    def end_waiting(self) -> None:
        """See `ports.Consumer`."""
        with self._broker.changed:
            self._is_ending = True
            self._broker.changed.notify_all()

    def close(self) -> None:
        """See `ports.Consumer`."""
        with self._broker.changed:
            for _, queue, message in reversed(self._unacknowledged):
                queue.ready.appendleft((message, True))
            self._unacknowledged.clear()
            for queue in self._queues:
                queue.consumers.remove(self)
            self._queues = []
            self._broker.changed.notify_all()

    def _connect(self) -> None:
        if missing := set(self._names) - self._broker.queues.keys():
            raise BrokerUnavailable(f"The queue {min(missing)} does not exist.")
        self._queues = [self._broker.queues[name] for name in self._names]
        for queue in self._queues:
            queue.consumers.append(self)

    def _next_queue(self) -> _Queue | None:
        for queue in self._queues:
            active = not queue.single or queue.consumers[0] is self
            unacknowledged = sum(1 for _, origin, _ in self._unacknowledged if origin is queue)
            if active and queue.ready and unacknowledged < self._prefetch:
                return queue
        return None


class MemoryQueueReader:
    """See `ports.QueueReader`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """See `ports.QueueReader`."""
        with self._broker.changed:
            if missing := set(queues) - self._broker.queues.keys():
                raise BrokerUnavailable(f"The queue {min(missing)} does not exist.")
            return {name: len(self._broker.queues[name].ready) for name in queues}

    def strays(self, topology: Topology) -> tuple[str, ...]:
        """See `ports.QueueReader`. Nobody but the topology declares anything."""
        return ()

    def uncompared(self) -> str | None:
        """See `ports.QueueReader`."""
        return None

    def missing(self, topology: Topology) -> tuple[str, ...]:
        """See `ports.QueueReader`."""
        with self._broker.changed:
            return self._broker.missing(topology)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryPrivateConsumer(MemoryConsumer):
    """See `ports.PrivateConsumer`."""

    def __init__(self, broker: MemoryBroker, service: str) -> None:
        super().__init__(broker, (), prefetch=500)
        self._service = service

    @property
    def name(self) -> str | None:
        """See `ports.PrivateConsumer`."""
        return self._names[0] if self._names else None

    def close(self) -> None:
        """See `ports.Consumer`."""
        super().close()
        for name in self._names:
            del self._broker.queues[name]
            self._broker.unbind(name)
        self._names = ()

    def _connect(self) -> None:
        name = f"{reply_queue_prefix(self._service)}{next(self._broker.private_numbers)}"
        exchange = published_to(REPLIES, name)
        if not self._broker.knows(exchange):
            raise BrokerUnavailable(f"The exchange {exchange} does not exist.")
        self._broker.queues[name] = _Queue(name, single=False)
        self._broker.bind(Binding(source=exchange, destination=name, key=name))
        self._names = (name,)
        super()._connect()
