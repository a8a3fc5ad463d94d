"""One HTTP connection: heads and bodies in, responses out, each within a deadline.

It replaces the parts of eventlet's handler (and so of the standard library's) that repeat what callers send,
in logs or in error pages, and those that wait without a bound.
"""

from __future__ import annotations

import io
import logging
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import eventlet
from eventlet import greenio, wsgi

from contracts.errors import Refused, Unavailable
from runtime.telemetry.logs import describe
from runtime.web import deadlines
from runtime.web.chunks import Chunks
from runtime.web.connections import origin_of
from runtime.web.head import BadHead, RequestHead, environment, read_head
from runtime.web.last_responses import DRAINED, PIECE, has_unread
from runtime.web.paced_reader import PacedReader
from runtime.web.problems import response_for
from runtime.web.response import Response
from runtime.web.sending import COUNTED, Sending, TooMuchUnread

_log = logging.getLogger(__name__)

CONNECTION: Final = "kopuro.connection"  # the environ key of the connection, for `close_after_response`
# Larger responses are sent in the pieces that they have: connections that get the same stored response share
# its bytes.
_JOINED: Final = 64 * 1024
_DISCARDED: Final = 64 * 1024  # the largest unread rest of a body for which the connection is kept


def close_after_response(environ: dict[str, Any]) -> None:
    """Close the connection after this response: part of the request may still be unread."""
    connection = environ[CONNECTION]
    connection.close_connection = True
    connection.lingers = True


@contextmanager
def may_make_room(environ: dict[str, Any]) -> Iterator[None]:
    """Let the port close the request's connection meanwhile, as an idle one, if it needs room for another."""
    state = environ[CONNECTION].conn_state
    state[2] = wsgi.STATE_IDLE
    try:
        yield
    finally:
        if state[2] == wsgi.STATE_IDLE:
            state[2] = wsgi.STATE_REQUEST


def message_of(response: Response) -> bytes:
    """Return the bytes of a response after which the connection is closed."""
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii") + response.body


class Protocol(wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet publishes no types
    """eventlet's connection handler with a strict parser of heads and chunks."""

    lingers = False
    served = False  # whether an earlier request of the connection was read
    requestline = ""  # eventlet's log lines repeat it; here it never has content
    head: RequestHead
    rfile: Any
    wfile: Any
    _reader: PacedReader

    def setup(self) -> None:
        super().setup()
        self._reader = PacedReader(self.rfile.detach())
        self.rfile = io.BufferedReader(self._reader)
        self.wfile = _Output(
            self.wfile,
            self.connection,
            origin_of(self.client_address),
            self.server.sending,
            self._linger_at_end,
        )

    def expect_nothing(self) -> None:
        """Look rarely for the rest of the request, because it has been answered."""
        self._reader.spend()

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
        self.served = True
        self.head = head
        # eventlet reads these attributes when it writes the response.
        self.command = head.method
        self.request_version = "HTTP/1.1" if head.http_1_1 else "HTTP/1.0"
        self.headers = {"Connection": _connection_option(head)}
        self.close_connection = not head.keeps_alive
        self.environ = self.get_environ()
        self.application = self.server.app
        try:
            self.handle_one_response()
        finally:
            self.environ = {}  # it refers to this object: a cycle would be left to the garbage collector

    def get_environ(self) -> dict[str, Any]:
        head = self.head
        environ = environment(head)
        environ["REMOTE_ADDR"] = self.client_address[0]
        stream = _Input(
            self.rfile,
            head.length,
            self.connection,
            wfile=self.wfile if head.waits_to_continue else None,
            wfile_line=b"HTTP/1.1 100 Continue\r\n",
            chunked_input=head.length is None,
        )
        stream.protocol = self
        environ["wsgi.input"] = environ["eventlet.input"] = stream
        environ["eventlet.posthooks"] = []
        environ[CONNECTION] = self
        return environ

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing: the standard library would print what the client sent."""

    def send_error(self, *_arguments: Any, **_options: Any) -> None:
        """Send a problem: the standard library's error page repeats what the client sent."""
        self._refuse(Refused("malformed-request", "The request cannot be parsed."))

    def _read_head(self) -> RequestHead | None:
        self._reader.begin()
        try:
            if self.served:
                self.connection.settimeout(deadlines.KEEPALIVE_SECONDS)
                if not self.rfile.peek(1):
                    return None
                self.connection.settimeout(deadlines.SOCKET_SECONDS)
            with eventlet.Timeout(deadlines.HEAD_SECONDS, exception=False):
                return read_head(self.rfile.readline)
        except OSError as fault:
            # The client was idle too long or disconnected: no response is possible.
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
            return None
        # Heads that began together are late together.
        self.server.turns.wait(origin_of(self.client_address))
        detail = f"The head did not arrive within {deadlines.HEAD_SECONDS:.0f} s."
        raise BadHead("malformed-request", detail, status=408)

    def _linger_at_end(self) -> None:
        self.close_connection = True
        self.lingers = True

    def _refuse(self, refused: Refused) -> None:
        self._linger_at_end()
        self.wfile.write(message_of(response_for(refused)))
        self.wfile.flush()

    def finish(self) -> None:
        # Also after the end of the last response, a client may have sent more: the rest of a body, or a
        # further request.
        if self.lingers or has_unread(self.connection):
            self._linger()
        super().finish()

    def _linger(self) -> None:
        """Read a little more of what the client is still sending: see `last_responses`."""
        left = DRAINED
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            with eventlet.Timeout(deadlines.LINGER_SECONDS, exception=False):
                while left > 0 and (piece := self.connection.recv(min(left, PIECE))):
                    left -= len(piece)
        except OSError:
            return


class _Input(wsgi.Input):  # type: ignore[misc]  # eventlet publishes no types
    """eventlet's request body with a strict chunk reader; eventlet's own accepts invalid chunks."""

    protocol: Protocol

    def __init__(self, file: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(file, *arguments, **options)
        self._chunks = Chunks(file)

    def discard(self, _buffer_size: int = PIECE) -> None:
        """Read the rest of a small body that the response did not need, or close the connection.

        The response has been sent. The rest must arrive within DISCARD_SECONDS.
        """
        if not self.chunked_input and self.content_length - self.position <= _DISCARDED:
            self.protocol.expect_nothing()
            with eventlet.Timeout(deadlines.DISCARD_SECONDS, exception=False):
                try:
                    super().discard(PIECE)
                except OSError as fault:
                    _log.debug("connection broken by the client", extra={"cause": describe(fault)})
                else:
                    return
        elif self._chunks.ended:
            return
        self.protocol.close_connection = True

    def _chunked_read(self, _file: Any, length: int | None = None, _by_line: bool = False) -> bytes:
        if self.should_send_hundred_continue:
            self.send_hundred_continue_response()
            self.is_hundred_continue_response_sent = True
        return self._chunks.read(length or PIECE)


_UNREAD: Final = message_of(
    response_for(
        Unavailable("Your address leaves too many large responses unread: read them first.", retry_after=5)
    )
)


class _Output:
    """The sending side of a connection.

    Raises TimeoutError when the peer takes a response too slowly, and ConnectionAbortedError instead of
    sending one while too many of its address are unread.
    """

    def __init__(
        self, file: Any, connection: Any, origin: str, sending: Sending, linger_at_end: Callable[[], None]
    ) -> None:
        """linger_at_end: makes the connection end after this response, with what is unread read first."""
        self._file = file
        self._connection = connection
        self._origin = origin
        self._sending = sending
        self._linger_at_end = linger_at_end

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def write(self, data: bytes) -> None:
        self.writelines((data,))

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send a response, or close the connection if its address leaves too many bytes unread."""
        pieces = tuple(pieces)
        size = sum(map(len, pieces))
        if size < _JOINED:
            pieces = (b"".join(pieces),)
        if size < COUNTED:
            self._send(pieces, size)
            return
        try:
            with self._sending.of(self._origin, size):
                self._send(pieces, size)
        except TooMuchUnread:
            self._linger_at_end()
            self._send((_UNREAD,), len(_UNREAD))
            raise ConnectionAbortedError from None

    def _send(self, pieces: Sequence[bytes], size: int) -> None:
        with self._deadline(size):
            for piece in pieces:
                self._file.write(piece)
            self._file.flush()

    def flush(self) -> None:
        """Do nothing: every write is sent at once."""

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _deadline(self, size: int) -> Iterator[None]:
        timeout = eventlet.Timeout(deadlines.RESPONSE_SECONDS + size / deadlines.LOWEST_RATE)
        try:
            yield
        except eventlet.Timeout as fault:
            if fault is not timeout:
                raise
            # The rest of the file's buffer cannot be sent later either.
            greenio.shutdown_safe(self._connection)
            raise TimeoutError from None
        finally:
            timeout.cancel()


class EventletLog:
    """Replaces eventlet's log, whose lines contain the request line and exceptions' texts."""

    def debug(self, *_arguments: Any) -> None:
        """Log nothing: eventlet reports connections that clients broke."""

    def info(self, *_arguments: Any) -> None:
        """Log the class of the exception that ended a response, if it is not a broken connection."""
        fault = sys.exc_info()[1]
        if fault is not None and not isinstance(fault, OSError):
            _log.error("response failed", exc_info=fault)

    error = info


def _connection_option(head: RequestHead) -> str:
    if not head.keeps_alive:
        return "close"
    return "" if head.http_1_1 else "keep-alive"
