"""Browsing of RabbitMQ queues without changing their order.

Verified on RabbitMQ 3.10.8 with quorum queues. When a consumer takes all messages and closes, they return in
order. With `basic.get` they would not (each get counts as a separate consumer, and those return in any
order), nor with two concurrent browsers. A quorum queue does not enforce an exclusive *consumer*, but the
broker enforces an exclusive *queue*, which disappears with its connection: the name of such a queue is our
lock.

To the broker each browsing is a delivery. RabbitMQ 4 gives quorum queues a delivery limit of 20 by default
and drops messages beyond it, so the dead-letter queues declare a high limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import amqp
from amqp.exceptions import NotFound, ResourceLocked

from contracts.broker_rights import BROWSING_SUFFIX
from contracts.errors import Refused, Unavailable
from runtime.messaging.dead_letters.browsing import Browsed
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.connection import BROKEN, ConnectionFactory, Heartbeat, close, drain
from runtime.tls import TlsFiles

CONNECT_TIMEOUT_SECONDS = 5
# Longer than the confirms of a wave take, because no heartbeats are sent meanwhile.
HEARTBEAT_SECONDS = 60
# How long to wait until another browser has finished.
TURN_SECONDS = 5.0
# The broker counted the ready messages: if they do not arrive, another consumer has taken them.
ARRIVAL_SECONDS = 10.0
# Messages return to the queue a few milliseconds after the channel is closed.
RETURN_SECONDS = 5.0
MOST = 65_535  # the largest prefetch that AMQP can express

_PAUSE_SECONDS = 0.02


class RabbitBrowsers:
    """Opens browsers of the queues at an AMQP URI: a `browsing.Browse`."""

    def __init__(self, uri: str, tls: TlsFiles | None = None) -> None:
        """tls: the files for an `amqps://` URI; None: the system's CAs."""
        self._connection_factory = ConnectionFactory(
            uri=uri, connect_timeout=CONNECT_TIMEOUT_SECONDS, heartbeat=HEARTBEAT_SECONDS, tls=tls
        )

    @contextmanager
    def __call__(self, queue: str) -> Iterator[RabbitBrowser]:
        """See `browsing.Browse`. Shows only the first MOST messages."""
        link = self._connection_factory.connect()
        try:
            browser = RabbitBrowser(link, queue)
            try:
                yield browser
            finally:
                browser.end()
        except BROKEN as error:
            raise BrokerUnavailable(
                f"The connection to the broker failed ({type(error).__name__})."
            ) from error
        finally:
            # A clean close ensures that the broker has read the acknowledgements.
            close(link)


class RabbitBrowser:
    """See `browsing.Browser`."""

    def __init__(self, link: amqp.Connection, queue: str) -> None:
        self._link = link
        self._queue = queue
        self._heartbeat = Heartbeat(link, HEARTBEAT_SECONDS)
        self._control = _locked_channel(link, queue)
        self._count = min(self._ready(), MOST)
        self._kept = 0
        self._channel: Any = None
        self._arrived: deque[Any] = deque()

    def messages(self) -> Iterator[Browsed]:
        """See `browsing.Browser`."""
        if not self._count:
            return
        self._channel = self._link.channel()
        self._channel.auto_decode = False
        self._channel.tx_select()
        self._channel.basic_qos(0, self._count, False)
        self._kept = self._count
        self._channel.basic_consume(self._queue, callback=self._arrived.append)
        # Stop at the count, not at an empty queue: replayed messages that fail again arrive meanwhile.
        for number in range(1, self._count + 1):
            yield _browsed(number, self._next())

    def remove(self, messages: Sequence[Browsed]) -> None:
        """See `browsing.Browser`. One by one: a `multiple` ack would include the messages in between."""
        self._heartbeat.beat()
        for message in messages:
            self._channel.basic_ack(message.tag)
        # In one transaction: a channel forwards acks to a quorum queue some 32 at a time, and drops the rest
        # when it is closed.
        self._channel.tx_commit()
        self._kept -= len(messages)

    def end(self) -> None:
        """Return once all messages are back in the queue, so that the next browser sees all of them."""
        if self._channel is None:
            return
        self._channel.close()
        deadline = time.monotonic() + RETURN_SECONDS
        while self._ready() < self._kept and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def _next(self) -> Any:
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while not self._arrived:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable(f"Another consumer is taking messages from {self._queue}.")
            if not drain(self._link, min(left, self._heartbeat.interval)):
                self._heartbeat.beat()
        return self._arrived.popleft()

    def _ready(self) -> int:
        try:
            return int(self._control.queue_declare(self._queue, passive=True).message_count)
        except NotFound:
            raise Refused("not-found", f"The queue {self._queue} does not exist.") from None


def browse_lock(queue: str) -> str:
    """Return the name of the exclusive queue that exists while `queue` is browsed."""
    return queue + BROWSING_SUFFIX


def _locked_channel(link: amqp.Connection, queue: str) -> Any:
    deadline = time.monotonic() + TURN_SECONDS
    while True:
        channel = link.channel()
        try:
            channel.queue_declare(browse_lock(queue), durable=False, exclusive=True, auto_delete=True)
        except ResourceLocked:
            if time.monotonic() >= deadline:
                raise Unavailable(f"Another process is browsing {queue}. Try again.") from None
            time.sleep(10 * _PAUSE_SECONDS)
        else:
            return channel


def _browsed(number: int, message: Any) -> Browsed:
    return Browsed(
        number=number,
        tag=message.delivery_info["delivery_tag"],
        message_id=message.properties.get("message_id") or "",
        headers=message.properties.get("application_headers") or {},
        body=message.body or b"",
    )
