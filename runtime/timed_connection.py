"""Connections to other servers that are cut at a deadline, even in the middle of a read.

A socket timeout restarts with every byte received: a server that sends its response byte by byte would hold
its client for ever.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from runtime.bounded_response import BoundedResponse


@contextmanager
def timed_connection(
    endpoint: tuple[str, int], seconds: float
) -> Iterator[tuple[socket.socket, threading.Event]]:
    """Connect, and shut the connection down `seconds` after the call. Yield the socket and an event.

    endpoint: host and port. The event is set at the deadline: a response without a length ends with the
    connection, so its reader must check the event. Raises TimeoutError after the deadline, also for an error
    of the block that the cut caused, and OSError.
    """
    started = time.monotonic()
    raw = socket.create_connection(endpoint, timeout=seconds)
    # The duplicate survives TLS wrapping; its shutdown shuts the connection down.
    twin = raw.dup()
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        with suppress(OSError):
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds - (time.monotonic() - started)), cut)
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


def timed_exchange(
    endpoint: tuple[str, int],
    seconds: float,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    response_class: type[BoundedResponse] = BoundedResponse,
    most: int | None = None,
) -> tuple[int, bytes]:
    """Send a request over a connection of its own; return the status and the body of the response.

    seconds: the deadline, from connecting to the last byte. context: of TLS, None without it. response_class:
    bounds the response; `most` bytes of its body are read, None: all. Raises TimeoutError after the deadline,
    OSError and HTTPException.
    """
    with timed_connection(endpoint, seconds) as (raw, expired):
        sock = raw if context is None else context.wrap_socket(raw, server_hostname=endpoint[0])
        connection = http.client.HTTPConnection(*endpoint)
        connection.response_class = response_class
        connection.sock = sock
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            content = response.read(most)
        finally:
            connection.close()
            sock.close()
        # A response without a length ends with the connection, which the deadline has cut.
        if expired.is_set():
            raise TimeoutError
        return response.status, content
