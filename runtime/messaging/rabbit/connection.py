"""Connections to RabbitMQ that end in time: opening, closing and waiting are all bounded.

kombu reads the URI and opens the connection; from then on we hold py-amqp's own. kombu's would connect
again by itself when the link is down, without our channels, and wait there for messages that never come.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import amqp
import kombu
from amqp.exceptions import AMQPError

from runtime.messaging.ports import BrokerUnavailable

CLOSE_TIMEOUT_SECONDS = 2.0
# Bytes that the other machine's kernel has not taken by then break the connection. py-amqp's own bound is
# one second, and RabbitMQ may well read nothing for a second when it slows its publishers down.
UNSENT_TIMEOUT_SECONDS = 15
# A wait for what has already arrived. Not zero: without blocking, py-amqp spins on half a frame.
AT_ONCE_SECONDS = 0.001

# What a broken connection, an unreachable broker or a refused operation can raise.
BROKEN = (AMQPError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionFactory:
    """How to reach the broker. Durations are in seconds."""

    uri: str = field(repr=False)
    connect_timeout: float
    heartbeat: int

    def connect(self) -> amqp.Connection:
        """An open connection, after one attempt. Raises BrokerUnavailable."""
        dialled = kombu.Connection(
            self.uri,
            heartbeat=self.heartbeat,
            connect_timeout=self.connect_timeout,
            transport_options={"socket_settings": _socket_settings()},
        )
        try:
            # kombu would sleep two seconds and try again; our callers have pauses of their own
            dialled.ensure_connection(errback=_give_up, reraise_as_library_errors=False)
        except BROKEN as error:
            raise BrokerUnavailable(f"The broker cannot be reached ({type(error).__name__}).") from error
        link = dialled.connection
        # Else py-amqp looks for `connection.blocked` before each publish: a system call a message, and
        # one that spins on half a frame. Our own waits read it as well.
        link.client_properties["capabilities"]["connection.blocked"] = False
        return link


def close(link: amqp.Connection) -> None:
    """Ends a connection in good order: what was sent on it has been read by the broker."""
    if link.connected:
        with contextlib.suppress(*BROKEN):
            # The broker's answer is waited for, and on a half-open link it never comes.
            link.sock.settimeout(CLOSE_TIMEOUT_SECONDS)
            link.close()
    abandon(link)


def abandon(link: amqp.Connection) -> None:
    """Drops a connection that cannot be trusted any more, without a word."""
    link.collect()


def drain(link: amqp.Connection, seconds: float) -> bool:
    """Handles one thing that the broker sent; False if nothing came in time. Raises one of BROKEN."""
    try:
        link.drain_events(timeout=seconds)
    except TimeoutError as error:
        if error.errno == errno.ETIMEDOUT:
            raise  # not we gave up waiting, but the kernel gave up the connection
        return False
    return True


@contextlib.contextmanager
def corked(link: amqp.Connection) -> Iterator[None]:
    """Within the block the kernel sends full segments only: a wave wakes the broker less often."""
    option = getattr(socket, "TCP_CORK", None)  # Linux
    if option is None:
        yield
        return
    link.sock.setsockopt(socket.IPPROTO_TCP, option, 1)
    yield
    link.sock.setsockopt(socket.IPPROTO_TCP, option, 0)


class Heartbeat:
    """Heartbeats of one connection: sent when due, and the other side's silence noticed."""

    def __init__(self, link: amqp.Connection, heartbeat: int) -> None:
        self._link = link
        self.interval = heartbeat / 4  # seconds; no wait should be longer
        self._due = time.monotonic()

    def beat(self) -> None:
        """To be called often. Raises one of BROKEN when nothing came for two heartbeats."""
        now = time.monotonic()
        if now >= self._due:
            self._link.heartbeat_tick()
            self._due = now + self.interval


def _give_up(error: BaseException, _interval: float) -> NoReturn:
    raise error


def _socket_settings() -> dict[int, Any]:
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    return {} if user_timeout is None else {user_timeout: UNSENT_TIMEOUT_SECONDS * 1000}
