"""Connections to RabbitMQ with bounded opening, closing and waiting.

kombu parses the URI and opens the connection; afterwards we use py-amqp's connection directly. kombu's
connection reconnects automatically but without our channels, and then waits for messages that never come.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import amqp
import kombu
from amqp.exceptions import AMQPError
from amqp.method_framing import frame_writer

from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.tolerant_frames import UNDECODABLE, tolerant
from runtime.tls import TlsFiles, handshake_fault

with warnings.catch_warnings():
    # Operators' commands such as `kopuro up --amqp` do not run runtime.__main__, which ignores it too.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    from eventlet import patcher

CLOSE_TIMEOUT_SECONDS = 2.0
# Bytes that the peer's kernel has not acknowledged by then break the connection. py-amqp's own limit is one
# second, but RabbitMQ may read nothing for a second when it throttles its publishers.
UNSENT_TIMEOUT_SECONDS = 15
# Timeout for reading what has already arrived. Not zero: without blocking, py-amqp spins on half a frame.
AT_ONCE_SECONDS = 0.001
# Enough for the messages of nearly every wave; the broker can work on a larger wave while it is encoded.
GATHERED_BYTES = 64 * 1024
# Enough for the messages of most waves. py-amqp copies the rest of its buffer for each part of a frame.
READ_AHEAD_BYTES = 16 * 1024

# eventlet removes `poll`, which would block the process; a poll without a timeout does not.
_select: Any = patcher.original("select")

# Raised by a broken connection, an unreachable broker or a refused operation.
BROKEN = (AMQPError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionFactory:
    """Opens connections to the broker. Durations are in seconds.

    tls: the files for an `amqps://` URI; None: the system's CAs. The server's certificate is always verified.
    """

    uri: str = field(repr=False)
    connect_timeout: float
    heartbeat: int
    tls: TlsFiles | None = None

    @property
    def user(self) -> str:
        """Return the user that the URI names."""
        return str(kombu.Connection(self.uri).userid)

    @property
    def vhost(self) -> str:
        """Return the virtual host that the URI names."""
        return str(kombu.Connection(self.uri).virtual_host)

    def connect(self) -> amqp.Connection:
        """Open a connection in one attempt. Raises BrokerUnavailable."""
        opened = kombu.Connection(
            self.uri,
            heartbeat=self.heartbeat,
            connect_timeout=self.connect_timeout,
            transport_options={"socket_settings": _socket_settings()},
        )
        if self.uri.startswith("amqps://"):
            # Beside the URI, whose own parameters could switch the verification off.
            opened.transport_options["ssl"] = (self.tls or TlsFiles()).amqp_options(opened.hostname)
        try:
            # kombu would sleep two seconds and retry; our callers have their own delays
            opened.ensure_connection(errback=_give_up, reraise_as_library_errors=False)
        except BROKEN as error:
            fault = handshake_fault(error, over_tls=self.uri.startswith("amqps://"))
            reason = f" ({type(error).__name__})" if fault is None else f": {fault}"
            raise BrokerUnavailable(f"The broker cannot be reached{reason}.") from error
        link = opened.connection
        # Otherwise py-amqp polls for `connection.blocked` before each publish: one system call per message,
        # which also spins on half a frame. Our own waits handle it as well.
        link.client_properties["capabilities"]["connection.blocked"] = False
        link.on_inbound_frame = tolerant(link.on_inbound_frame)
        read_ahead(link.transport)
        return link


def read_ahead(transport: Any) -> None:
    """Let py-amqp read at once what has arrived. It keeps in its buffer what it has read beyond a frame.

    It asks for exactly the bytes that it needs next: a message has three frames, and each frame takes three
    calls of eventlet's socket.
    """
    receive = transport._quick_recv
    transport._quick_recv = lambda size: receive(max(size, READ_AHEAD_BYTES))


def close(link: amqp.Connection) -> None:
    """Close a connection cleanly: the broker has then read everything sent on it."""
    if link.connected:
        with contextlib.suppress(*BROKEN):
            # py-amqp waits for the broker's reply, which never comes on a half-open connection.
            link.sock.settimeout(CLOSE_TIMEOUT_SECONDS)
            link.close()
    abandon(link)


def abandon(link: amqp.Connection) -> None:
    """Drop a broken connection without the closing handshake."""
    link.collect()


def drain(link: amqp.Connection, seconds: float) -> bool:
    """Handle one frame from the broker; return False if none arrived in time. Raises one of BROKEN."""
    handled = sys.exc_info()[1]  # an error that a caller handles: its frames stay for the caller's log
    try:
        link.drain_events(timeout=seconds)
    except TimeoutError as error:
        if error.errno == errno.ETIMEDOUT:
            raise  # the kernel gave up the connection: this is not our timeout
        _forget_frames(error, handled)
        return False
    except UNDECODABLE as error:
        # Errors that `tolerant` does not replace must not end the process either. The broker dead-letters the
        # message after its delivery limit.
        raise AMQPError(f"a frame cannot be decoded ({type(error).__name__})") from error
    return True


def _forget_frames(error: BaseException, handled: BaseException | None) -> None:
    """Release the callers' frames, and with them the messages in their variables.

    eventlet keeps the exception of a timeout in a variable of the frame that raises it. That is a cycle: the
    frames up to here and those of their callers would stay in memory until the collector runs.
    """
    link: BaseException | None = error
    while link is not None and link is not handled:
        link.__traceback__ = None
        link = link.__context__


def has_arrived(link: amqp.Connection) -> bool:
    """Return whether bytes from the broker can be read now. Never waits.

    A read that finds nothing within AT_ONCE_SECONDS costs much more: a timer, two switches and an exception.
    """
    # py-amqp and the TLS library read ahead.
    if link.transport._read_buffer or getattr(link.sock, "pending", int)():
        return True
    poll = _select.poll()
    poll.register(link.sock.fileno(), _select.POLLIN)
    return bool(poll.poll(0))


class SendBuffer:
    """Gathers what is written on a connection: a wave takes few system calls and wakes the broker seldom."""

    def __init__(self, link: amqp.Connection) -> None:
        self._transport = link.transport
        self._is_gathering = False
        self._pieces: list[bytes] = []
        self._size = 0
        link.frame_writer = frame_writer(link, self)

    def write(self, data: memoryview | bytes) -> None:
        """Write frames: at once, or within `gathering` together with others (py-amqp's transport)."""
        if not self._is_gathering:
            self._transport.write(data)
            return
        # A copy: py-amqp reuses its buffer for the next frame.
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size >= GATHERED_BYTES:
            self._flush()

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Send what is written inside the block at its end, and when GATHERED_BYTES have come together.

        If the block raises, what was not sent yet is discarded.
        """
        self._is_gathering = True
        try:
            yield
            self._flush()
        finally:
            self._is_gathering = False
            self._pieces.clear()
            self._size = 0

    def _flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            self._transport.write(b"".join(pieces))


class Heartbeat:
    """The heartbeats of one connection: sends them when due and detects a silent peer."""

    def __init__(self, link: amqp.Connection, heartbeat: int) -> None:
        self._link = link
        self.interval = heartbeat / 4  # seconds; no wait should be longer
        self._due = time.monotonic()

    def beat(self) -> None:
        """Send a heartbeat when due. Call it often. Raises one of BROKEN after two silent heartbeats."""
        now = time.monotonic()
        if now >= self._due:
            self._link.heartbeat_tick()
            self._due = now + self.interval


def _give_up(error: BaseException, _interval: float) -> NoReturn:
    raise error


def _socket_settings() -> dict[int, Any]:
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    return {} if user_timeout is None else {user_timeout: UNSENT_TIMEOUT_SECONDS * 1000}
