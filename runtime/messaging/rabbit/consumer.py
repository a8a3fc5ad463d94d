"""The RabbitMQ consumer: takes batches and acknowledges each with one `multiple` ack."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import amqp
from amqp import spec

from contracts.topology import REPLIES, published_to, reply_queue_prefix
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.ports import BrokerUnavailable, Delivery
from runtime.messaging.rabbit.connection import (
    AT_ONCE_SECONDS,
    BROKEN,
    ConnectionFactory,
    Heartbeat,
    abandon,
    close,
    drain,
    has_arrived,
)


class RabbitConsumer:
    """See `ports.Consumer`."""

    def __init__(self, connection_factory: ConnectionFactory, queues: Sequence[str], prefetch: int) -> None:
        self._connection_factory = connection_factory
        self._queues = queues
        self._prefetch = prefetch
        self._link: amqp.Connection | None = None
        self._arrived: list[Delivery] = []
        # Whether `take` waits for the broker; changed, and acted upon, by one at a time.
        self._is_waiting = False
        self._turn = threading.Lock()
        self._is_ending = False

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """See `ports.Consumer`."""
        taken: list[Delivery] = self._guarded(lambda: self._take(limit, timeout))
        return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `ports.Consumer`."""
        if not deliveries:
            return
        if self._link is None:
            raise BrokerUnavailable("The connection of these messages is closed.")
        self._guarded(lambda: self._channel.basic_ack(deliveries[-1].tag, multiple=True))

    def end_waiting(self) -> None:
        """See `ports.Consumer`. The broker's answer to `basic.qos` is what ends the wait."""
        self._is_ending = True
        with self._turn, contextlib.suppress(*BROKEN):
            # Otherwise `take` is not waiting, and will not.
            if self._is_waiting:
                self._channel.send_method(spec.Basic.Qos, "lBb", (0, self._prefetch, False))

    def close(self) -> None:
        """See `ports.Consumer`."""
        self._leave(close)

    def _leave(self, leave: Callable[[amqp.Connection], None]) -> None:
        # Delivery tags belong to a channel: unacknowledged messages are redelivered.
        self._arrived.clear()
        if self._link is not None:
            leave(self._link)
            self._link = None

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except BROKEN as error:
            self._leave(abandon)
            raise BrokerUnavailable(
                f"The connection to the broker failed ({type(error).__name__})."
            ) from error

    def _take(self, limit: int, timeout: float) -> list[Delivery]:
        if self._link is None:
            self._connect()
        self._heartbeat.beat()
        deadline = time.monotonic() + timeout
        while not self._arrived:
            left = deadline - time.monotonic()
            if left <= 0 or self._is_ending:
                return []
            self._wait(min(left, self._heartbeat.interval))
            self._heartbeat.beat()
        while len(self._arrived) < limit and has_arrived(self._link):
            if not drain(self._link, AT_ONCE_SECONDS):
                break
        while limit < len(self._arrived) and self._arrived[limit].tag == self._arrived[limit - 1].tag:
            limit += 1
        taken, self._arrived = self._arrived[:limit], self._arrived[limit:]
        return taken

    def _wait(self, seconds: float) -> None:
        """Handle the next frame, unless none arrives in time or the wait is ended."""
        self._is_waiting = True
        try:
            # Again, now that `end_waiting` would see that it has to end a wait.
            if not self._is_ending:
                drain(self._link, seconds)
        finally:
            with self._turn:
                self._is_waiting = False

    def _connect(self) -> None:
        self._link = self._connection_factory.connect()
        self._heartbeat = Heartbeat(self._link, self._connection_factory.heartbeat)
        self._channel = self._link.channel()
        # The bytes as they were sent: py-amqp would decode them by the encoding that the message states.
        self._channel.auto_decode = False
        self._channel.basic_qos(0, self._prefetch, False)
        for queue in self._queues:
            self._consume(queue)

    def _consume(self, queue: str) -> None:
        self._channel.basic_consume(queue, callback=partial(self._on_message, queue))

    def _on_message(self, queue: str, message: Any) -> None:
        properties, info = message.properties, message.delivery_info
        headers = properties.get("application_headers") or {}
        texts = {name: str(value) for name, value in headers.items()}
        tag, routing_key, redelivered = info["delivery_tag"], info["routing_key"], bool(info["redelivered"])
        message_id, user_id = properties.get("message_id") or "", properties.get("user_id")
        # py-amqp makes the body of an empty message a text.
        body = message.body or b""
        self._arrived.extend(
            Delivery(
                tag=tag,
                queue=queue,
                routing_key=routing_key,
                message_id=message_id,
                body=event,
                headers=texts,
                redelivered=redelivered,
                user_id=user_id,
                exchange=info["exchange"],
            )
            for event in decode_batch(body)
        )


class RabbitPrivateConsumer(RabbitConsumer):
    """See `ports.PrivateConsumer`. The queue is exclusive: the broker drops it with the connection."""

    def __init__(self, connection_factory: ConnectionFactory, service: str) -> None:
        super().__init__(connection_factory, (), prefetch=500)
        self._service = service
        self._name: str | None = None

    @property
    def name(self) -> str | None:
        """See `ports.PrivateConsumer`."""
        return self._name

    def _leave(self, leave: Callable[[amqp.Connection], None]) -> None:
        self._name = None
        super()._leave(leave)

    def _connect(self) -> None:
        super()._connect()
        # A new name each time: the broker may not have noticed that the last connection is closed.
        name = f"{reply_queue_prefix(self._service)}{new_id()}"
        self._channel.queue_declare(name, durable=False, exclusive=True, auto_delete=True)
        self._channel.queue_bind(name, published_to(REPLIES, name), name)
        self._consume(name)
        self._name = name
