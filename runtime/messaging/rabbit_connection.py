"""Connections to RabbitMQ that end in time: opening, closing and waiting are all bounded."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

from amqp.exceptions import AMQPError
from kombu import Connection

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
class Dialling:
    """How to reach the broker. Durations are in seconds."""

    uri: str = field(repr=False)
    connect_timeout: float
    heartbeat: int

    def connect(self) -> Connection:
        """An open connection, after one attempt. Raises BrokerUnavailable."""
        connection = Connection(
            self.uri,
            heartbeat=self.heartbeat,
            connect_timeout=self.connect_timeout,
            transport_options={"socket_settings": _socket_settings()},
        )
        try:
            # kombu would sleep two seconds and try again; our callers have pauses of their own
            connection.ensure_connection(errback=_give_up, reraise_as_library_errors=False)
        except BROKEN as error:
            abandon(connection)
            raise BrokerUnavailable(f"The broker cannot be reached ({type(error).__name__}).") from error
        # Else py-amqp looks for `connection.blocked` before each publish: a system call a message, and
        # one that spins on half a frame. Our own waits read it as well.
        connection.connection.client_properties["capabilities"]["connection.blocked"] = False
        return connection


def close(connection: Connection) -> None:
    """Ends a connection in good order: what was sent on it has been read by the broker."""
    with contextlib.suppress(*BROKEN, AttributeError):
        # The broker's answer is waited for, and on a half-open link it never comes.
        connection.connection.sock.settimeout(CLOSE_TIMEOUT_SECONDS)
        connection.release()
    abandon(connection)


def abandon(connection: Connection) -> None:
    """Drops a connection that cannot be trusted any more, without a word."""
    connection.collect()


class Pulse:
    """Heartbeats of one connection: sent when due, and the other side's silence noticed."""

    def __init__(self, connection: Connection, heartbeat: int) -> None:
        self._connection = connection
        self.interval = heartbeat / 4  # seconds; no wait should be longer
        self._due = time.monotonic()

    def beat(self) -> None:
        """To be called often. Raises one of BROKEN when nothing came for two heartbeats."""
        now = time.monotonic()
        if now >= self._due:
            self._connection.heartbeat_check()
            self._due = now + self.interval


def _give_up(error: BaseException, _interval: float) -> NoReturn:
    raise error


def _socket_settings() -> dict[int, Any]:
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    return {} if user_timeout is None else {user_timeout: UNSENT_TIMEOUT_SECONDS * 1000}
