"""Connections to other servers that are cut at a deadline, even in the middle of a read.

A socket timeout restarts with every byte received: a server that sends its response byte by byte would hold
its client for ever.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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
