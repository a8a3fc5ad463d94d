"""One listening socket, its connections, and how they end.

nameko's own WebServer serves too, but an error of one client's socket ends the whole service, a
connection may stay silent for ever, requests keep coming while the service stops, and its socket is
opened with SO_REUSEPORT, so that a second process on the same port takes half the requests unnoticed.
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

CONNECTION: Final = "kopuro.connection"  # the environ's key for what `close_after_response` marks
_SOCKET_SECONDS: Final = 30.0  # one read or write; a long poll waits in its handler, not here
_KEEPALIVE_SECONDS: Final = 75.0
_BACKLOG: Final = 1024
_LINGER_SECONDS: Final = 1.0
_LINGER_BYTES: Final = 1024 * 1024
_PIECE: Final = 64 * 1024
HEAD_SECONDS: Final = 30.0  # from a head's first byte to its last

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


def close_after_response(environ: dict[str, Any]) -> None:
    """Have the connection closed after this answer: part of the request may still be unread."""
    connection = environ[CONNECTION]
    connection.close_connection = True
    connection.lingers = True


class Listener:
    """Serves `application` on `address` until it is drained or closed.

    spawn: runs a function in a greenlet and gives the greenlet; no function given to it raises.
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
        """Listen. Raises OSError when the address cannot be had."""
        address = (self._address.host, self._address.port)
        self._socket = eventlet.listen(address, backlog=_BACKLOG, reuse_port=False)
        self._server = wsgi.Server(
            self._socket,
            address,
            self._application,
            protocol=_Protocol,
            log=logging.getLogger("eventlet.wsgi"),
            log_output=False,  # an access log line holds the path, and costs more than the request
            debug=False,  # a traceback never goes to a caller
            keepalive=_KEEPALIVE_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
        )
        self._acceptor = self._spawn(self._accept)

    def drain(self) -> None:
        """Stop listening, end idle connections, and return when every request has been answered."""
        if not self._draining:
            self._draining = True
            self.close()
            for connection in list(self._connections):
                connection.end()
            if not self._connections:
                self._all_closed.send()
        self._all_closed.wait()

    def close(self) -> None:
        """Stop listening. Requests in flight go on."""
        if self._socket is not None:
            self._acceptor.kill()
            self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, address = self._socket.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as fault:
                # Out of file descriptors, most likely: those who wait are served when some close.
                _log.warning("a connection could not be accepted", extra={"cause": describe(fault)})
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
            # The client's side of the connection broke, in one of many ways.
            _log.debug("a connection broke", extra={"cause": describe(fault)})
        except Exception:  # noqa: BLE001 - beyond this point it would end the service
            _log.exception("a connection was given up")
        finally:
            connection.close()
            self._connections.discard(connection)
            if self._draining and not self._connections and not self._all_closed.ready():
                self._all_closed.send()


class _Connection:
    """eventlet's `[address, socket, state]` of one client."""

    def __init__(self, state: list[Any]) -> None:
        self.state = state

    def end(self) -> None:
        """End now if idle, else after the answer that is under way."""
        idle = self.state[2] == wsgi.STATE_IDLE
        self.state[2] = wsgi.STATE_CLOSE
        if idle:
            greenio.shutdown_safe(self.state[1])

    def close(self) -> None:
        self.state[1].close()


class _Protocol(wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet publishes no types
    """eventlet's connection, but for what reads: heads and chunks are read strictly here."""

    lingers = False
    head: Head

    def handle_one_request(self) -> None:
        """Read one request and answer it, or refuse its head and close."""
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
        # What eventlet itself asks of a request when it answers.
        self.command = head.method
        self.request_version = "HTTP/1.1" if head.http_1_1 else "HTTP/1.0"
        self.headers = {"Connection": _wish(head)}
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
        """Nothing: the standard library would print what the client sent."""

    def send_error(self, *_arguments: Any, **_options: Any) -> None:
        """Refuse: the standard library would answer with a page that repeats what the client sent."""
        self._refuse(Refused("malformed-request", "The request cannot be read."))

    def _read_head(self) -> Head | None:
        try:
            self.connection.settimeout(_KEEPALIVE_SECONDS)
            if not self.rfile.peek(1):
                return None
            self.connection.settimeout(_SOCKET_SECONDS)
            with eventlet.Timeout(HEAD_SECONDS, exception=False):
                return read_head(self.rfile.readline)
        except OSError as fault:
            # Silent for too long, or gone: nobody is there to be answered.
            _log.debug("a connection broke", extra={"cause": describe(fault)})
            return None
        raise BadHead("malformed-request", f"The head did not come within {HEAD_SECONDS:.0f} s.", status=408)

    def _refuse(self, refused: Refused) -> None:
        answer = response_for(refused)
        lines = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
            f"Content-Length: {len(answer.body)}",
            "Cache-Control: no-store",
            "Connection: close",
            "",
            "",
        ]
        self.close_connection = True
        self.lingers = True
        self.wfile.write("\r\n".join(lines).encode("ascii") + answer.body)
        self.wfile.flush()

    def finish(self) -> None:
        if self.lingers:
            self._linger()
        super().finish()

    def _linger(self) -> None:
        """Take in a little more of what is still being sent (RFC 9112 §9.6).

        Closing at once makes TCP answer with a reset, which may destroy our answer on its way.
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
    """eventlet's body of a request; eventlet's own reader of chunks takes what is none."""

    def __init__(self, file: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(file, *arguments, **options)
        self._chunks = Chunks(file)

    def _chunked_read(self, _file: Any, length: int | None = None, _by_line: bool = False) -> bytes:
        if self.should_send_hundred_continue:
            self.send_hundred_continue_response()
            self.is_hundred_continue_response_sent = True
        return self._chunks.read(length or _PIECE)


def _wish(head: Head) -> str:
    if not head.keeps_alive:
        return "close"
    return "" if head.http_1_1 else "keep-alive"
