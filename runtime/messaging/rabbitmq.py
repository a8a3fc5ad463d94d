"""RabbitMQ behind the broker port: kombu for URIs and connections, py-amqp's channel for the rest.

Confirms are pipelined: a wave of messages goes out, then one wait for all their confirms. kombu's own
publisher waits for each one, which is fifteen times slower. An unroutable message is confirmed as well;
only `mandatory` makes the broker return it. After a timeout, a nack or a return the connection is thrown
away: on the same channel a late confirm would be counted for the wrong message.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import amqp
from amqp.exceptions import AMQPError
from kombu import Connection

from contracts.envelope import CONTENT_TYPE
from contracts.topology import Topology
from runtime.identifiers import new_id
from runtime.messaging.ports import BrokerUnavailable, Delivery, Outgoing, PublishIncomplete

HEARTBEAT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 5
# A wave that is not confirmed by then is published again on a new connection.
CONFIRM_TIMEOUT_SECONDS = 15.0
TRANSIENT, PERSISTENT = 1, 2

# What a broken connection, an unreachable broker or a refused operation can raise.
_BROKEN = (AMQPError, OSError, socket.timeout)


class RabbitBroker:
    """The broker at an AMQP URI."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def declare(self, topology: Topology) -> None:
        """See `ports.Broker`. Every exchange and queue is durable."""
        connection = self.connect()
        try:
            channel = connection.default_channel
            for exchange in topology.exchanges:
                channel.exchange_declare(
                    exchange.name,
                    exchange.kind,
                    durable=True,
                    auto_delete=False,
                    arguments=dict(exchange.arguments),
                )
            for queue in topology.queues:
                channel.queue_declare(
                    queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments)
                )
            for binding in topology.bindings:
                bind = channel.exchange_bind if binding.to_exchange else channel.queue_bind
                bind(binding.destination, binding.source, binding.key)
        except _BROKEN as error:
            raise BrokerUnavailable("The topology could not be declared.") from error
        finally:
            _close(connection)

    def publisher(self) -> RabbitPublisher:
        """See `ports.Broker`."""
        return RabbitPublisher(self)

    def consumer(self, queues: Sequence[str], prefetch: int) -> RabbitConsumer:
        """See `ports.Broker`."""
        return RabbitConsumer(self, queues, prefetch)

    def private_consumer(self) -> RabbitPrivateConsumer:
        """See `ports.Broker`."""
        return RabbitPrivateConsumer(self)

    def connect(self) -> Connection:
        """An open connection. Raises BrokerUnavailable."""
        connection = Connection(
            self._uri, heartbeat=HEARTBEAT_SECONDS, connect_timeout=CONNECT_TIMEOUT_SECONDS
        )
        try:
            connection.connect()
        except _BROKEN as error:
            _close(connection)
            raise BrokerUnavailable("The broker cannot be reached.") from error
        return connection


def _close(connection: Connection) -> None:
    # kombu's release swallows what a broken socket raises while it is being closed
    connection.release()


class _Pulse:
    """Heartbeats of one connection: sent when due, and the other side's silence noticed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._due = time.monotonic()

    def beat(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._connection.heartbeat_check()
            self._due = now + HEARTBEAT_SECONDS / 4


class RabbitPublisher:
    """See `ports.Publisher`."""

    def __init__(self, broker: RabbitBroker) -> None:
        self._broker = broker
        self._open: _ConfirmingChannel | None = None

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See `ports.Publisher`."""
        if not messages:
            return
        if self._open is None:
            self._open = _ConfirmingChannel(self._broker.connect())
        try:
            self._open.publish(messages)
        except BaseException:
            self.close()
            raise

    def tend(self) -> None:
        """See `ports.Publisher`."""
        if self._open is None:
            return
        try:
            self._open.tend()
        except _BROKEN:
            self.close()

    def close(self) -> None:
        """See `ports.Publisher`."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _ConfirmingChannel:
    """A channel in confirm mode, for as long as nothing goes wrong on it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pulse = _Pulse(connection)
        try:
            self._channel = connection.channel()
            self._channel.confirm_select()
        except _BROKEN as error:
            _close(connection)
            raise BrokerUnavailable("The broker closed a new connection.") from error
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._published = 0
        self._outstanding: set[int] = set()
        self._wave: dict[str, int] = {}  # message id -> the broker's number, of the wave under way
        self._returned: set[int] = set()
        self._failure: str | None = None
        self._unroutable: str | None = None

    def publish(self, messages: Sequence[Outgoing]) -> None:
        first = self._published + 1
        self._wave.clear()
        failure = None
        try:
            for message in messages:
                self._published += 1
                self._outstanding.add(self._published)
                self._wave[message.message_id] = self._published
                self._channel.basic_publish(
                    _amqp_message(message),
                    exchange=message.exchange,
                    routing_key=message.routing_key,
                    mandatory=not message.transient,
                )
            deadline = time.monotonic() + CONFIRM_TIMEOUT_SECONDS
            while self._outstanding and self._failure is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    failure = "the confirm did not come in time"
                    break
                self._await(min(left, 1.0))
        except _BROKEN as error:
            failure = f"the connection broke ({type(error).__name__})"
        failure = self._failure or failure
        if failure is not None:
            # Only a run from the beginning counts: what follows a gap must not overtake it.
            unsafe = min(self._outstanding | self._returned, default=self._published + 1)
            raise PublishIncomplete(max(0, unsafe - first), failure, unroutable=self._unroutable)

    def tend(self) -> None:
        self._pulse.beat()
        try:
            self._connection.drain_events(timeout=0)
        except TimeoutError:
            return

    def close(self) -> None:
        _close(self._connection)

    def _await(self, seconds: float) -> None:
        try:
            self._connection.drain_events(timeout=seconds)
        except TimeoutError:
            self._pulse.beat()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._outstanding = {n for n in self._outstanding if n > tag}
        else:
            self._outstanding.discard(tag)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._failure = "the broker refused a message"

    def _on_return(self, exception: Exception, exchange: str, routing_key: str, message: Any) -> None:
        # The broker confirms it all the same, right after: what was returned is counted apart.
        self._returned.add(self._wave[message.properties["message_id"]])
        self._unroutable = f"{exchange or '(default)'} {routing_key}"
        self._failure = f"no queue takes a message ({self._unroutable})"


def _amqp_message(message: Outgoing) -> amqp.Message:
    return amqp.Message(
        message.body,
        content_type=CONTENT_TYPE,
        delivery_mode=TRANSIENT if message.transient else PERSISTENT,
        message_id=message.message_id,
        application_headers={**message.headers, "partitionkey": message.partition_key},
    )


class RabbitConsumer:
    """See `ports.Consumer`."""

    def __init__(self, broker: RabbitBroker, queues: Sequence[str], prefetch: int) -> None:
        self._broker = broker
        self._queues = queues
        self._prefetch = prefetch
        self._connection: Connection | None = None
        self._arrived: list[Delivery] = []

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """See `ports.Consumer`."""
        taken: list[Delivery] = self._guarded(lambda: self._take(limit, timeout))
        return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `ports.Consumer`."""
        if not deliveries:
            return
        if self._connection is None:
            raise BrokerUnavailable("The connection these messages came on is gone.")
        self._guarded(lambda: self._channel.basic_ack(deliveries[-1].tag, multiple=True))

    def close(self) -> None:
        """See `ports.Consumer`."""
        # Tags belong to a channel: what was taken but not acknowledged will come again.
        self._arrived.clear()
        if self._connection is not None:
            _close(self._connection)
            self._connection = None

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except _BROKEN as error:
            self.close()
            raise BrokerUnavailable("The connection to the broker broke.") from error

    def _take(self, limit: int, timeout: float) -> list[Delivery]:
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        self._pulse.beat()
        deadline = time.monotonic() + timeout
        while not self._arrived:
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            self._drain(min(left, 1.0))
            self._pulse.beat()
        while len(self._arrived) < limit and self._drain(0):
            pass
        taken, self._arrived = self._arrived[:limit], self._arrived[limit:]
        return taken

    def _drain(self, timeout: float) -> bool:
        assert self._connection is not None
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            return False
        return True

    def _connect(self) -> None:
        self._connection = self._broker.connect()
        self._pulse = _Pulse(self._connection)
        self._channel = self._connection.channel()
        self._channel.basic_qos(0, self._prefetch, False)
        for queue in self._queues:
            self._channel.basic_consume(queue, callback=partial(self._on_message, queue))

    def _on_message(self, queue: str, message: Any) -> None:
        properties = message.properties
        headers = properties.get("application_headers") or {}
        body = message.body
        self._arrived.append(
            Delivery(
                tag=message.delivery_info["delivery_tag"],
                queue=queue,
                routing_key=message.delivery_info["routing_key"],
                message_id=properties.get("message_id") or "",
                body=body if isinstance(body, bytes) else body.encode(),
                headers={name: str(value) for name, value in headers.items()},
                redelivered=bool(message.delivery_info["redelivered"]),
            )
        )


class RabbitPrivateConsumer(RabbitConsumer):
    """See `ports.PrivateConsumer`. The queue is exclusive: the broker drops it with the connection."""

    def __init__(self, broker: RabbitBroker) -> None:
        super().__init__(broker, (), prefetch=500)

    @property
    def name(self) -> str | None:
        """See `ports.PrivateConsumer`."""
        return self._queues[0] if self._queues else None

    def close(self) -> None:
        """See `ports.Consumer`."""
        super().close()
        self._queues = ()

    def _connect(self) -> None:
        # A name of its own each time: the broker may not have noticed yet that the last one is gone.
        name = f"private.{new_id()}"
        super()._connect()
        self._channel.queue_declare(name, durable=False, exclusive=True, auto_delete=True)
        self._channel.basic_consume(name, callback=partial(self._on_message, name))
        self._queues = (name,)
