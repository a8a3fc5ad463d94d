"""The listening socket of a service and its connections.

It replaces nameko's WebServer, in which an error on one client's socket ends the whole service, an idle
connection never times out, and requests are accepted while the service stops. That server also sets
SO_REUSEPORT, so that a second process on the same port silently takes half the requests.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import eventlet
from eventlet import hubs, wsgi
from eventlet.event import Event
from eventlet.greenio import GreenSocket

from contracts.errors import Unavailable
from runtime.settings import Address
from runtime.telemetry.logs import describe
from runtime.telemetry.metrics import ConnectionMetrics
from runtime.turn import Turn
from runtime.web import deadlines
from runtime.web.connection_queue import ConnectionQueue
from runtime.web.connections import Connection, ConnectionLimits, Connections
from runtime.web.fair_turns import FairTurns
from runtime.web.last_responses import LastResponses
from runtime.web.problems import response_for
from runtime.web.protocol import EventletLog, Protocol, message_of
from runtime.web.sending import Sending
from runtime.web.silent_connections import SilentConnections, first_byte

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_ACCEPT_PAUSE: Final = (
    0.1  # after a failed accept; without it, a lack of descriptors would keep the process busy
)
_WARNING_SECONDS: Final = 60.0  # between two log lines about refused connections or a failed accept
_QUEUE_SECONDS: Final = 0.02  # between two looks at the connections that wait for a place
_MOST_REFUSED: Final = 128  # refused connections whose peers may still be reading
_SEND_BUFFER: Final = 64 * 1024  # bytes that wait for the peer; Linux takes twice as much memory
_REFUSAL: Final = message_of(response_for(Unavailable("Too many connections.", retry_after=5)))

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


def prepare(client: socket.socket) -> None:
    """Set the options of a new connection.

    Without a bound, the kernel gives up to 4 MiB to each response that the peer does not read. Some thousands
    of connections would use up the memory of the whole machine.
    """
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


class Listener:
    """Serves `application` on `address` until it is drained or closed.

    limits: a connection beyond them waits until an idle one makes room, or else is answered 503 and closed.
    spawn: runs a function in a greenlet and returns the greenlet; functions passed to it never raise.
    """

    def __init__(
        self,
        address: Address,
        application: WsgiApplication,
        spawn: Callable[[Callable[[], None]], Any],
        *,
        limits: ConnectionLimits,
        metrics: ConnectionMetrics,
    ) -> None:
        self._address = address
        self._application = application
        self._spawn = spawn
        self._socket: Any = None
        self._server: Any = None
        self._connections = Connections(limits)
        self._queue = ConnectionQueue(limits.waiting)
        self._refused = LastResponses(min(_MOST_REFUSED, max(1, limits.waiting)))
        self._silent = SilentConnections(self._start, self._forget)
        # Connections of one address that send their first bytes together, or whose heads are late together.
        self._turns = FairTurns()
        self._greenlets: list[Any] = []
        self._metrics = metrics
        self._warn_after = 0.0
        self._draining = False
        self._all_closed = Event()
        self._some_wait = Event()

    def open(self) -> None:
        """Start listening. Logs the address and raises OSError when it is not available."""
        address = (self._address.host, self._address.port)
        try:
            self._socket = eventlet.listen(address, backlog=_BACKLOG, reuse_port=False)
        except OSError as fault:
            # The text of this error says nothing about a caller, and the operator needs both.
            reason = os.strerror(fault.errno) if fault.errno else describe(fault)
            _log.critical("cannot listen on address", extra={"address": str(self._address), "reason": reason})
            raise
        self._server = wsgi.Server(
            self._socket,
            address,
            self._application,
            protocol=Protocol,
            log=EventletLog(),
            log_output=False,  # an access log line contains the path, and costs more than the request
            debug=False,  # never send a traceback to a caller
            keepalive=deadlines.KEEPALIVE_SECONDS,
            socket_timeout=deadlines.SOCKET_SECONDS,
        )
        self._server.sending = Sending()
        self._server.turns = self._turns
        self._greenlets = [
            self._spawn(loop) for loop in (self._accept, self._admit_waiting, self._silent.close_due_for_ever)
        ]

    def drain(self) -> None:
        """Stop listening, close idle connections, and return when every request has been answered."""
        if not self._draining:
            self._draining = True
            self.close()
            for connection in self._queue:
                connection.close()
            for connection in self._connections:
                connection.end()
            if not self._connections and not self._all_closed.ready():
                self._all_closed.send()
        self._all_closed.wait()

    def close(self) -> None:
        """Stop listening. Requests in flight continue."""
        if self._socket is not None:
            for greenlet in self._greenlets:
                greenlet.kill()
            self._socket.close()
            self._refused.close_all()

    def _accept(self) -> None:
        listening = self._socket.fd  # a connection that is refused needs no socket of eventlet's
        turn = Turn()
        while True:
            try:
                client, address = listening.accept()
                hubs.notify_opened(client.fileno())
                prepare(client)
            except BlockingIOError:
                hubs.trampoline(listening, read=True)
                turn = Turn()
                continue
            except OSError as fault:
                # Most likely out of file descriptors: the backlog is served when connections close.
                self._warn("accepting a connection failed", cause=describe(fault))
                eventlet.sleep(_ACCEPT_PAUSE)
                continue
            self._place(Connection([address, client, wsgi.STATE_IDLE]))
            turn.end_if_over()

    def _place(self, connection: Connection) -> None:
        """Give a new connection a place, or let it wait for one, or refuse it."""
        origin = connection.origin
        if (
            not self._queue.has(origin)
            and (self._connections.has_room(origin) or self._queue.may_replace(origin))
            and self._connections.admit(connection)
        ):
            self._watch(connection)
        elif not self._queue.add(connection):
            self._refuse(connection)
        elif not self._some_wait.ready():
            self._some_wait.send()

    def _admit_waiting(self) -> None:
        """Admit the connections that wait, those of one address in the order of their arrival. Never ends.

        While none waits, it does not look: it is the only loop of an idle process that would run often.
        """
        while True:
            self._some_wait.wait()
            eventlet.sleep(_QUEUE_SECONDS)
            for connection in self._queue.first_of_each():
                self._admit_if_due(connection)
            if not len(self._queue):
                self._some_wait.reset()

    def _admit_if_due(self, connection: Connection) -> None:
        origin = connection.origin
        if first_byte(connection) == b"":
            self._queue.remove_first(origin)
            connection.close()
        elif self._connections.has_room(origin) or self._queue.may_replace(origin):
            self._queue.remove_first(origin)
            if self._connections.admit(connection):
                self._watch(connection)
            else:
                self._refuse(connection)

    def _refuse(self, connection: Connection) -> None:
        """Answer 503 without reading the request, and close."""
        self._metrics.refused()
        self._warn("connections refused", cause="the port or the address has its most connections")
        try:
            connection.socket.send(_REFUSAL)  # an empty socket buffer takes so short a response
        except OSError as fault:
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
            connection.close()
        else:
            self._refused.add(connection)

    def _watch(self, connection: Connection) -> None:
        self._metrics.opened()
        self._silent.watch(connection)

    def _start(self, connection: Connection) -> None:
        """Serve a connection that has sent something. Runs in the event loop: it must not block."""
        client = connection.state[1] = GreenSocket(connection.socket, set_nonblocking=False)
        client.settimeout(deadlines.SOCKET_SECONDS)
        self._spawn(partial(self._serve, connection))

    def _forget(self, connection: Connection) -> None:
        """Count a connection as closed."""
        self._connections.discard(connection)
        self._metrics.closed()
        if self._draining and not self._connections and not self._all_closed.ready():
            self._all_closed.send()

    def _warn(self, message: str, *, cause: str) -> None:
        """Log a warning, at most one a minute: otherwise a flood of connections becomes a flood of lines."""
        now = time.monotonic()
        if now >= self._warn_after:
            self._warn_after = now + _WARNING_SECONDS
            _log.warning(message, extra={"cause": cause, "address": str(self._address)})

    def _serve(self, connection: Connection) -> None:
        try:
            self._turns.wait(connection.origin)
            self._server.process_request(connection.state)
        except (OSError, ValueError) as fault:
            # The client broke the connection.
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
        except Exception:  # noqa: BLE001 - an exception beyond this point would end the service
            _log.exception("connection closed after an error")
        finally:
            connection.close()
            self._forget(connection)
