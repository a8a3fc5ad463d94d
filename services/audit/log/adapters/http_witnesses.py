"""`ports.Witnesses` over HTTP."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

from services.audit.log.ports import WitnessUnreachable

# The deadline of a request, from connecting to the last byte of the response.
SECONDS: Final = 3.0
_MAX_RESPONSE_BYTES: Final = 64 * 1024
# All that a witness may send in clear: the head, interim responses and the framing of chunks too.
_MAX_RECEIVED_BYTES: Final = 2 * _MAX_RESPONSE_BYTES


class HttpWitnesses:
    """Opens a connection per request, at most one a second. seconds: the deadline."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    def add_checkpoint(self, url: str, body: bytes) -> tuple[int, bytes]:
        """See `ports.Witnesses`."""
        address = urlsplit(url)
        assert address.hostname is not None
        secure = address.scheme == "https"
        endpoint = (address.hostname, address.port or (443 if secure else 80))
        try:
            with self._connected(endpoint) as (raw, expired):
                sock = _secured(raw, address.hostname) if secure else raw
                connection = http.client.HTTPConnection(*endpoint)
                connection.sock = _BoundedSocket(sock, expired)
                try:
                    connection.request(
                        "POST",
                        f"{address.path}/add-checkpoint",
                        body=body,
                        headers={"Content-Type": "text/plain; charset=utf-8", "Connection": "close"},
                    )
                    response = connection.getresponse()
                    content = response.read(_MAX_RESPONSE_BYTES)
                finally:
                    connection.close()
                    sock.close()
                # A response without a length ends with the connection, which the deadline has cut.
                if expired.is_set():
                    raise TimeoutError
                return response.status, content
        except _ResponseTooLarge as error:
            raise WitnessUnreachable(
                f"The witness at {address.hostname} sent more than {_MAX_RECEIVED_BYTES // 1024} KiB."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise WitnessUnreachable(
                f"The witness at {address.hostname} did not answer within {self._seconds:.0f} s."
                if isinstance(error, TimeoutError)
                else f"The witness at {address.hostname} does not answer."
            ) from error

    @contextmanager
    def _connected(self, endpoint: tuple[str, int]) -> Iterator[tuple[socket.socket, threading.Event]]:
        """Open a connection that is shut down at the deadline, even in the middle of a read.

        A socket timeout would restart with every byte received. Raises TimeoutError.
        """
        started = time.monotonic()
        raw = socket.create_connection(endpoint, timeout=self._seconds)
        # The duplicate survives TLS wrapping; its shutdown shuts the connection down.
        twin = raw.dup()
        expired = threading.Event()

        def cut() -> None:
            expired.set()
            with suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(0.0, self._seconds - (time.monotonic() - started)), cut)
        timer.daemon = True
        timer.start()
        try:
            yield raw, expired
        except (OSError, http.client.HTTPException):
            if expired.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
            twin.close()
            raw.close()


class _ResponseTooLarge(OSError):
    """The witness sent more than a response may have."""


class _BoundedSocket:
    """A connected socket for `http.client`, which reads interim responses and trailers without a limit."""

    def __init__(self, connected: socket.socket, expired: threading.Event) -> None:
        self._connected = connected
        self._expired = expired

    def sendall(self, data: bytes) -> None:
        self._connected.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._connected, self._expired))

    def close(self) -> None:
        """Do nothing: `http.client` closes it before it reads the body. Its owner closes the socket."""


class _BoundedReader(io.RawIOBase):
    """Raises TimeoutError after the deadline and _ResponseTooLarge beyond _MAX_RECEIVED_BYTES.

    A socket with bytes to read does not wait: a witness that sends without end would keep every other
    greenlet of the process from its turn, and that of the deadline too.
    """

    def __init__(self, connected: socket.socket, expired: threading.Event) -> None:
        self._connected = connected
        self._expired = expired
        self._left = _MAX_RECEIVED_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        time.sleep(0)
        if self._expired.is_set():
            raise TimeoutError
        size = self._connected.recv_into(buffer)
        self._left -= size
        if self._left < 0:
            raise _ResponseTooLarge
        return size


def _secured(raw: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
