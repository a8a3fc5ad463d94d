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
from eventlet import wsgi
from eventlet.event import Event

from contracts.errors import Unavailable
from runtime.settings import Address
from runtime.telemetry.logs import describe
from runtime.telemetry.metrics import ConnectionMetrics
from runtime.web import deadlines
from runtime.web.connections import Connection, ConnectionLimits, Connections
from runtime.web.problems import response_for
from runtime.web.protocol import EventletLog, Protocol, message_of

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_ACCEPT_PAUSE: Final = (
    0.1  # after a failed accept; without it, a lack of descriptors would keep the process busy
)
_WARNING_SECONDS: Final = 60.0  # between two log lines about refused connections or a failed accept

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


class Listener:
    """Serves `application` on `address` until it is drained or closed.

    limits: connections beyond them are answered 503 and closed, unless an idle one makes room.
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
        self._acceptor: Any = None
        self._connections = Connections(limits)
        self._metrics = metrics
        self._warn_after = 0.0
        self._draining = False
        self._all_closed = Event()

    def open(self) -> None:
        """Start listening. Logs the address and raises OSError when it is not available."""
        address = (self._address.host, self._address.port)
        try:
            self._socket = eventlet.listen(address, backlog=_BACKLOG, reuse_port=False)
        except OSError as fault:
            # The text of this error says nothing about a caller, and the operator needs both.
            reason = os.strerror(fault.errno) if fault.errno else describe(fault)
            _log.critical(
                "address cannot be listened on", extra={"address": str(self._address), "reason": reason}
            )
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
        self._acceptor = self._spawn(self._accept)

    def drain(self) -> None:
        """Stop listening, close idle connections, and return when every request has been answered."""
        if not self._draining:
            self._draining = True
            self.close()
            for connection in self._connections:
                connection.end()
            if not self._connections:
                self._all_closed.send()
        self._all_closed.wait()

    def close(self) -> None:
        """Stop listening. Requests in flight continue."""
        if self._socket is not None:
            self._acceptor.kill()
            self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, address = self._socket.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as fault:
                # Most likely out of file descriptors: the backlog is served when connections close.
                self._warn("accepting a connection failed", cause=describe(fault))
                eventlet.sleep(_ACCEPT_PAUSE)
                continue
            connection = Connection([address, client, wsgi.STATE_IDLE])
            if not self._connections.admit(connection):
                self._refuse(client)
                continue
            self._metrics.opened()
            client.settimeout(deadlines.SOCKET_SECONDS)
            self._spawn(partial(self._serve, connection))

    def _refuse(self, client: Any) -> None:
        """Answer 503 without reading the request, and close."""
        self._metrics.refused()
        self._warn("connections refused", cause="the port or the address has its most connections")
        try:
            client.setblocking(False)  # an empty socket buffer takes so short an answer
            client.send(message_of(response_for(Unavailable("Too many connections.", retry_after=5))))
            client.shutdown(socket.SHUT_WR)
        except OSError as fault:
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
        finally:
            client.close()

    def _warn(self, message: str, *, cause: str) -> None:
        """Log a warning, at most one a minute: otherwise a flood of connections becomes a flood of lines."""
        now = time.monotonic()
        if now >= self._warn_after:
            self._warn_after = now + _WARNING_SECONDS
            _log.warning(message, extra={"cause": cause, "address": str(self._address)})

    def _serve(self, connection: Connection) -> None:
        try:
            self._server.process_request(connection.state)
        except (OSError, ValueError) as fault:
            # The client broke the connection.
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
        except Exception:  # noqa: BLE001 - an exception beyond this point would end the service
            _log.exception("connection closed after an error")
        finally:
            connection.close()
            self._connections.discard(connection)
            self._metrics.closed()
            if self._draining and not self._connections and not self._all_closed.ready():
                self._all_closed.send()
