"""The witness's HTTP server: `POST /add-checkpoint`, `GET /<origin hash>/checkpoint`."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from kopuro_client.errors import ClientError
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.note import MAX_NOTE_BYTES
from kopuro_client.witness.request import AddCheckpoint
from kopuro_client.witness.witness import Witness, WitnessResponse

READING: Final = 10.0  # seconds after which a connection is closed whose request is not complete
TOTAL: Final = 60.0  # seconds after which any connection is closed
# Open connections, in all and of one address; each takes a thread. A hub has one open at a time.
MOST: Final = 64
MOST_OF_ADDRESS: Final = 32
MAX_BODY: Final = MAX_NOTE_BYTES + 4_096  # a note, preceded by a proof of at most 63 lines
_LAST: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")


def serve(witness: Witness, host: str, port: int, *, complain: Callable[[str], None]) -> ThreadingHTTPServer:
    """Return a server that is listening; run its `serve_forever`.

    complain: called with errors that the operator must look at. Raises OSError if it cannot listen.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a body after its head would wait 40 ms for the head's ACK
        server: _Server
        timeout = TOTAL

        def parse_request(self) -> bool:
            # One request per connection, so that a proxy that frames requests differently cannot smuggle one.
            understood = super().parse_request()
            self.close_connection = True
            if understood and (self.headers.defects or not _is_framed_clearly(self.headers)):
                self._send(WitnessResponse(status=400, body="the request's framing is ambiguous\n"))
                return False
            return understood

        def do_POST(self) -> None:
            if self.path != "/add-checkpoint":
                self._send(WitnessResponse(status=404, body="not found\n"))
                return
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit()):
                self._send(WitnessResponse(status=411, body="Content-Length is required\n"))
            elif len(length) > 9 or int(length) > MAX_BODY:
                self._send(WitnessResponse(status=413, body="the request is too large\n"))
            else:
                body = self.rfile.read(int(length))
                if len(body) < int(length):
                    return
                self.server.has_request(self.connection)
                self._send(self._guarded(lambda: witness.add_checkpoint(AddCheckpoint.parse(body))))

        def do_GET(self) -> None:
            self.server.has_request(self.connection)
            match = _LAST.fullmatch(self.path)
            if match is None:
                self._send(WitnessResponse(status=404, body="not found\n"))
            else:
                self._send(self._guarded(lambda: witness.checkpoint(match[1])))

        def _guarded(self, respond: Callable[[], WitnessResponse]) -> WitnessResponse:
            try:
                return respond()
            except MalformedError as error:
                return WitnessResponse(status=400, body=f"{error}\n")
            except ClientError as error:
                complain(str(error))
                return WitnessResponse(
                    status=500, body="internal error of the witness; its operator has been notified\n"
                )

        def _send(self, response: WitnessResponse) -> None:
            content = response.body.encode()
            # Not `send_response`: it also names the server.
            self.send_response_only(response.status)
            self.send_header("Date", self.date_time_string())
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing; the record has the cosigned checkpoints."""

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            """Send a plain response, because the standard library's page quotes the request."""
            self.close_connection = True
            self.request_version = "HTTP/1.1"
            self._send(WitnessResponse(status=code, body="invalid request\n"))

    server = _Server((host, port), Handler)
    server.complain = complain
    return server


@dataclass(slots=True)
class _Open:
    """An open connection. since: seconds, monotonic. is_reading: whether its request is not complete."""

    address: str
    since: float
    is_reading: bool = True


class _Server(ThreadingHTTPServer):
    """Holds at most MOST connections, and of one address MOST_OF_ADDRESS.

    Beyond these a new connection takes the place of the oldest one whose request is not complete; without
    one, it is closed.
    """

    daemon_threads = True
    request_queue_size = MOST
    complain: Callable[[str], None]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: dict[socket.socket, _Open] = {}
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread, unless there are too many."""
        address = str(client_address[0])
        if not self._has_room(address):
            self.shutdown_request(request)
            return
        with self._lock:
            self._open[request] = _Open(address=address, since=time.monotonic())
        super().process_request(request, client_address)

    def has_request(self, connection: socket.socket) -> None:
        """Record that the connection's request is complete."""
        with self._lock:
            if (one := self._open.get(connection)) is not None:
                one.is_reading = False

    def close_request(self, request: Any) -> None:
        """Close the connection, which then has no place any more."""
        with self._lock:
            self._open.pop(request, None)
        super().close_request(request)

    def service_actions(self) -> None:
        """Cut the connections whose time is over. The loop calls it at least twice a second."""
        now = time.monotonic()
        with self._lock:
            late = [
                connection
                for connection, one in self._open.items()
                if now - one.since > (READING if one.is_reading else TOTAL)
            ]
        for connection in late:
            _cut(connection)

    def _has_room(self, address: str) -> bool:
        """Return whether a connection of the address may stay, after cutting another one for it."""
        with self._lock:
            own = {one: state for one, state in self._open.items() if state.address == address}
            if len(own) >= MOST_OF_ADDRESS:
                others = own
            elif len(self._open) >= MOST:
                others = self._open
            else:
                return True
            # The oldest come first.
            oldest = next((one for one, state in others.items() if state.is_reading), None)
            if oldest is None:
                return False
            del self._open[oldest]
        _cut(oldest)
        return True

    def handle_error(self, request: object, client_address: object) -> None:
        """Report an exception's class: the standard library prints its text, which can quote a request."""
        fault = sys.exc_info()[1]
        if not isinstance(fault, OSError):  # OSError: the client broke the connection
            self.complain(f"a request failed with {type(fault).__name__}")


def _is_framed_clearly(headers: Message) -> bool:
    """Return whether the body's length is unambiguous (RFC 9112 §6.3). Chunked bodies are not supported."""
    return len(headers.get_all("Content-Length", [])) <= 1 and "Transfer-Encoding" not in headers


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
