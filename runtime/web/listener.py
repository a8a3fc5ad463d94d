"""The listening socket of a service and its connections.

It replaces nameko's WebServer, in which an error on one client's socket ends the whole service, an idle
connection never times out, and requests are accepted while the service stops. That server also sets
SO_REUSEPORT, so that a second process on the same port silently takes half the requests.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import eventlet
from eventlet import greenio, wsgi
from eventlet.event import Event

from contracts.errors import Refused
from runtime.settings import Address
from runtime.telemetry.logs import describe
from runtime.web.chunks import Chunks
from runtime.web.head import BadHead, Head, environment, read_head
from runtime.web.problems import response_for

_log = logging.getLogger(__name__)

CONNECTION: Final = "kopuro.connection"  # the environ key of the connection, for `close_after_response`
_SOCKET_SECONDS: Final = 30.0  # one read or write; a long poll waits in its handler, not here
_KEEPALIVE_SECONDS: Final = 75.0
_BACKLOG: Final = 1024
_LINGER_SECONDS: Final = 1.0
_LINGER_BYTES: Final = 1024 * 1024
_PIECE: Final = 64 * 1024
HEAD_SECONDS: Final = 30.0  # from a head's first byte to its last

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


def close_after_response(environ: dict[str, Any]) -> None:
    """Close the connection after this response: part of the request may still be unread."""
    connection = environ[CONNECTION]
    connection.close_connection = True
    connection.lingers = True


class Listener:
    """Serves `application` on `address` until it is drained or closed.

    spawn: runs a function in a greenlet and returns the greenlet; functions passed to it never raise.
    """

    def __init__(
        self,
        address: Address,
        application: WsgiApplication,
        spawn: Callable[[Callable[[], None]], Any],
    ) -> None:
        self._address = address
        self._application = application
        self._spawn = spawn
        self._socket: Any = None
        self._server: Any = None
        self._acceptor: Any = None
        self._connections: set[_Connection] = set()
        self._draining = False
        self._all_closed = Event()

    def open(self) -> None:
        """Start listening. Raises OSError when the address is not available."""
        address = (self._address.host, self._address.port)
        self._socket = eventlet.listen(address, backlog=_BACKLOG, reuse_port=False)
        self._server = wsgi.Server(
            self._socket,
            address,
            self._application,
            protocol=_Protocol,
            log=logging.getLogger("eventlet.wsgi"),
            log_output=False,  # an access log line contains the path, and costs more than the request
            debug=False,  # never send a traceback to a caller
            keepalive=_KEEPALIVE_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
        )
        self._acceptor = self._spawn(self._accept)

    def drain(self) -> None:
        """Stop listening, close idle connections, and return when every request has been answered."""
        if not self._draining:
            self._draining = True
            self.close()
            for connection in list(self._connections):
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
                _log.warning("accepting a connection failed", extra={"cause": describe(fault)})
                eventlet.sleep(0.1)
                continue
            client.settimeout(_SOCKET_SECONDS)
            connection = _Connection([address, client, wsgi.STATE_IDLE])
            self._connections.add(connection)
            self._spawn(partial(self._serve, connection))

    def _serve(self, connection: _Connection) -> None:
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
            if self._draining and not self._connections and not self._all_closed.ready():
                self._all_closed.send()


class _Connection:
    """One client connection: eventlet's `[address, socket, state]`."""

    def __init__(self, state: list[Any]) -> None:
        self.state = state

    def end(self) -> None:
        """Close now if idle, otherwise after the current response."""
        idle = self.state[2] == wsgi.STATE_IDLE
        self.state[2] = wsgi.STATE_CLOSE
        if idle:
            greenio.shutdown_safe(self.state[1])

    def close(self) -> None:
        self.state[1].close()


class _Protocol(wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet publishes no types
    """eventlet's connection handler with a strict parser of heads and chunks."""

    lingers = False
    head: Head

    def handle_one_request(self) -> None:
        """Read one request and respond, or refuse its head and close."""
        self.close_connection = True
        try:
            head = self._read_head()
        except Refused as fault:
            self._refuse(fault)
            return
        if head is None or self.conn_state[2] == wsgi.STATE_CLOSE:
            return
        self.conn_state[2] = wsgi.STATE_REQUEST
        self.head = head
        # eventlet reads these attributes when it writes the response.
        self.command = head.method
        self.request_version = "HTTP/1.1" if head.http_1_1 else "HTTP/1.0"
        self.headers = {"Connection": _connection_option(head)}
        self.close_connection = not head.keeps_alive
        self.environ = self.get_environ()
        self.application = self.server.app
        self.handle_one_response()

    def get_environ(self) -> dict[str, Any]:
        head = self.head
        environ = environment(head)
        stream = _Input(
            self.rfile,
            head.length,
            self.connection,
            wfile=self.wfile if head.headers.get("expect", "").lower() == "100-continue" else None,
            wfile_line=b"HTTP/1.1 100 Continue\r\n",
            chunked_input=head.length is None,
        )
        environ["wsgi.input"] = environ["eventlet.input"] = stream
        environ["eventlet.posthooks"] = []
        environ[CONNECTION] = self
        return environ

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing: the standard library would print what the client sent."""

    def send_error(self, *_arguments: Any, **_options: Any) -> None:
        """Send a problem: the standard library's error page repeats what the client sent."""
        self._refuse(Refused("malformed-request", "The request cannot be parsed."))

    def _read_head(self) -> Head | None:
        try:
            self.connection.settimeout(_KEEPALIVE_SECONDS)
            if not self.rfile.peek(1):
                return None
            self.connection.settimeout(_SOCKET_SECONDS)
            with eventlet.Timeout(HEAD_SECONDS, exception=False):
                return read_head(self.rfile.readline)
        except OSError as fault:
            # The client was idle too long or disconnected: no response is possible.
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
            return None
        raise BadHead(
            "malformed-request", f"The head did not arrive within {HEAD_SECONDS:.0f} s.", status=408
        )

    def _refuse(self, refused: Refused) -> None:
        response = response_for(refused)
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
            f"Content-Length: {len(response.body)}",
            "Cache-Control: no-store",
            "Connection: close",
            "",
            "",
        ]
        self.close_connection = True
        self.lingers = True
        self.wfile.write("\r\n".join(lines).encode("ascii") + response.body)
        self.wfile.flush()

    def finish(self) -> None:
        if self.lingers:
            self._linger()
        super().finish()

    def _linger(self) -> None:
        """Read a little more of what the client is still sending (RFC 9112 §9.6).

        Closing at once makes TCP send a reset, which can destroy the response before the client reads it.
        """
        left = _LINGER_BYTES
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            with eventlet.Timeout(_LINGER_SECONDS, exception=False):
                while left > 0 and (piece := self.connection.recv(min(left, 64 * 1024))):
                    left -= len(piece)
        except OSError:
            return


class _Input(wsgi.Input):  # type: ignore[misc]  # eventlet publishes no types
    """eventlet's request body with a strict chunk reader; eventlet's own accepts invalid chunks."""

    def __init__(self, file: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(file, *arguments, **options)
        self._chunks = Chunks(file)

    def _chunked_read(self, _file: Any, length: int | None = None, _by_line: bool = False) -> bytes:
        if self.should_send_hundred_continue:
            self.send_hundred_continue_response()
            self.is_hundred_continue_response_sent = True
        return self._chunks.read(length or _PIECE)


def _connection_option(head: Head) -> str:
    if not head.keeps_alive:
        return "close"
    return "" if head.http_1_1 else "keep-alive"
