"""Asks witnesses over HTTP: see `ports.Witnesses`."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from services.audit.log.ports import WitnessUnreachable

# For the whole question, from the connection to the last byte of the answer.
SECONDS: Final = 3.0
_LONGEST_ANSWER: Final = 64 * 1024


class HttpWitnesses:
    """A connection a question: one a second at most is asked. seconds: the deadline of one question."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    def add_checkpoint(self, url: str, body: bytes) -> tuple[int, bytes]:
        """See `ports.Witnesses`."""
        address = urlsplit(url)
        assert address.hostname is not None
        secure = address.scheme == "https"
        place = (address.hostname, address.port or (443 if secure else 80))
        try:
            with self._connected(place) as (raw, expired):
                sock = _secured(raw, address.hostname) if secure else raw
                connection = http.client.HTTPConnection(*place)
                connection.sock = sock
                try:
                    connection.request(
                        "POST",
                        f"{address.path}/add-checkpoint",
                        body=body,
                        headers={"Content-Type": "text/plain; charset=utf-8", "Connection": "close"},
                    )
                    answer = connection.getresponse()
                    content = answer.read(_LONGEST_ANSWER)
                finally:
                    connection.close()
                    sock.close()
                # An answer without a length ends where the connection does: here it was cut.
                if expired.is_set():
                    raise TimeoutError
                return answer.status, content
        except (OSError, http.client.HTTPException) as error:
            raise WitnessUnreachable(
                f"The witness at {address.hostname} did not answer within {self._seconds:.0f} s."
                if isinstance(error, TimeoutError)
                else f"The witness at {address.hostname} does not answer."
            ) from error

    @contextmanager
    def _connected(self, place: tuple[str, int]) -> Iterator[tuple[socket.socket, threading.Event]]:
        """A connection that is cut when the deadline has passed, whatever is being waited for then.

        A timeout of the socket's would begin anew with each byte that arrives. Raises TimeoutError.
        """
        started = time.monotonic()
        raw = socket.create_connection(place, timeout=self._seconds)
        # It outlives the wrapping in TLS; to shut it down shuts the connection down.
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


def _secured(raw: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
