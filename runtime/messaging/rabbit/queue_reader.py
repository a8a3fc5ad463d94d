"""Inspects RabbitMQ's queues and exchanges, over a connection of its own.

Every declaration is passive. RabbitMQ 3.10 and 4.0 ask for no right; later versions ask for any right on the
name (4.2.6 and 4.3.0: for configure).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import AccessRefused, NotFound, ResourceLocked

from contracts.topology import Topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.browser import browse_lock
from runtime.messaging.rabbit.connection import BROKEN, ConnectionFactory, SendBuffer, abandon, close
from runtime.messaging.rabbit.management import ManagementApi

_log = logging.getLogger(__name__)

# A broker that does not reply by then counts as unavailable.
ANSWER_SECONDS = 5.0
# The format of `queue.declare` in py-amqp's notation.
_DECLARATION = "BsbbbbbF"
# Between two requests to a management API that does not answer: each takes up to five seconds.
_BETWEEN_ATTEMPTS = 20.0


class RabbitQueueReader:
    """See `ports.QueueReader`. Call it every few seconds: the calls replace heartbeats."""

    def __init__(
        self, connection_factory: ConnectionFactory, management: ManagementApi | None = None
    ) -> None:
        """management: reads the bindings; None: they are not compared."""
        self._connection_factory = connection_factory
        self._management = management
        # The missing bindings at the last answer of the management API, and why it did not answer last time.
        self._unbound: tuple[str, ...] = ()
        self._silence: str | None = None
        self._strays: tuple[str, ...] = ()
        self._asked_at = 0.0
        self._link: amqp.Connection | None = None
        self._channel: Any = None
        self._known: dict[str, int] = {}

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """See `ports.QueueReader`."""
        with self._connected() as link:
            for queue, count in zip(queues, self._ready(queues), strict=True):
                self._known[queue] = self._count(link, queue, count)
        return {queue: self._known[queue] for queue in queues}

    def missing(self, topology: Topology) -> tuple[str, ...]:
        """See `ports.QueueReader`."""
        absent: list[str] = []
        with self._connected() as link:
            if self._has_all(link, topology):
                return self._missing_bindings(topology, set())
            for exchange in topology.exchanges:
                declare = partial(self._channel.exchange_declare, exchange.name, exchange.kind, passive=True)
                self._note_absence(link, declare, exchange.name, absent)
            for queue in topology.queues:
                declare = partial(self._channel.queue_declare, queue.name, passive=True)
                self._note_absence(link, declare, queue.name, absent)
        return (*absent, *self._missing_bindings(topology, set(absent)))

    def _has_all(self, link: amqp.Connection, topology: Topology) -> bool:
        """Return whether every exchange and queue exists. One wait for all of them.

        The broker does not answer a declaration with `no-wait`, but it closes the channel after one that
        fails. It answers the request behind them when it has processed them.
        """
        try:
            with self._sending.gathering():
                for exchange in topology.exchanges:
                    self._channel.exchange_declare(exchange.name, exchange.kind, passive=True, nowait=True)
                for queue in topology.queues:
                    self._channel.queue_declare(queue.name, passive=True, nowait=True)
            self._channel.basic_qos(0, 0, False)
        except (NotFound, AccessRefused):
            # The broker does not say which one is missing, so they are checked one by one.
            self._channel = link.channel()
            return False
        return True

    def _missing_bindings(self, topology: Topology, absent: set[str]) -> tuple[str, ...]:
        if self._management is None:
            return ()
        if self._silence is not None and time.monotonic() < self._asked_at + _BETWEEN_ATTEMPTS:
            return self._unbound
        self._asked_at = time.monotonic()
        # A binding of something that does not exist is missing with it.
        bindings = [one for one in topology.bindings if absent.isdisjoint((one.source, one.destination))]
        try:
            self._unbound = self._management.missing(replace(topology, bindings=tuple(bindings)))
        except BrokerUnavailable as error:
            # The last result counts: an event for a missing binding would be lost, and one that waits is not.
            if self._silence is None:
                _log.warning("bindings cannot be compared", extra={"reason": str(error)})
            self._silence = str(error)
        else:
            self._silence = None
        return self._unbound

    def strays(self, topology: Topology) -> tuple[str, ...]:
        """See `ports.QueueReader`."""
        if self._management is None or self._silence is not None:
            return self._strays
        try:
            self._strays = tuple(str(one) for one in self._management.strays(topology))
        except BrokerUnavailable as error:
            _log.warning("undeclared objects at the broker cannot be listed", extra={"reason": str(error)})
        return self._strays

    def uncompared(self) -> str | None:
        """See `ports.QueueReader`."""
        return self._silence

    def close(self) -> None:
        """See `ports.QueueReader`."""
        if self._link is not None:
            close(self._link)
        self._link = self._channel = None

    @contextmanager
    def _connected(self) -> Iterator[amqp.Connection]:
        try:
            if self._link is None:
                self._link = self._connection_factory.connect()
                self._link.sock.settimeout(ANSWER_SECONDS)
                self._channel = self._link.channel()
                self._sending = SendBuffer(self._link)
            yield self._link
        except BROKEN as error:
            self._drop()
            raise BrokerUnavailable(
                f"The queues at the broker could not be read ({type(error).__name__})."
            ) from error

    def _note_absence(
        self, link: amqp.Connection, declare: Callable[[], object], name: str, absent: list[str]
    ) -> None:
        try:
            declare()
        except NotFound:
            # The broker has closed the channel.
            self._channel = link.channel()
            absent.append(name)
        except AccessRefused:
            # A later version, and a name of another service: it may exist.
            self._channel = link.channel()

    def _count(self, link: amqp.Connection, queue: str, count: int) -> int:
        known = self._known.get(queue, 0)
        if count >= known:
            return count
        # Fewer than before: perhaps an operator browses the queue, which makes its messages unacknowledged.
        if _is_browse_lock(link, queue):
            return known
        return self._ready((queue,))[0]

    def _ready(self, queues: Sequence[str]) -> list[int]:
        """Return the number of ready messages in each queue; the broker replies in the order of requests."""
        with self._sending.gathering():
            for queue in queues:
                arguments = (0, queue, True, False, False, False, False, None)
                self._channel.send_method(spec.Queue.Declare, _DECLARATION, arguments)
        replies = [self._channel.wait(spec.Queue.DeclareOk, returns_tuple=True) for _ in queues]
        return [int(count) for _, count, _ in replies]

    def _drop(self) -> None:
        if self._link is not None:
            abandon(self._link)
        self._link = self._channel = None


def _is_browse_lock(link: amqp.Connection, queue: str) -> bool:
    channel = link.channel()
    try:
        channel.queue_declare(browse_lock(queue), passive=True)
    except ResourceLocked:
        return True
    except (NotFound, AccessRefused):
        return False
    channel.close()
    return True
