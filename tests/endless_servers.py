"""Servers that never complete their response: one sends it byte by byte, one as fast as it is read.

They close a connection that nobody has closed for some seconds: a client without a deadline then returns, and
the test fails by its own assertion rather than by the time limit of all tests.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

PAUSE = 0.05  # seconds between two bytes of a dripping server
LONGEST = 10.0  # seconds until a server closes a connection that its client has left open


class _EndlessServer:
    """Sends `start` to each client, and then `more` repeatedly until the client closes or `longest` is over.

    pause: seconds before each repetition. longest: seconds.
    """

    def __init__(self, start: bytes, more: bytes, *, pause: float, longest: float) -> None:
        self._start = start
        self._more = more
        self._pause = pause
        self._longest = longest
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.ended = threading.Semaphore(0)  # released when a client has closed its connection

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        until = time.monotonic() + self._longest
        with connection:
            try:
                connection.sendall(self._start)
                while time.monotonic() < until and not self._closing.wait(self._pause):
                    connection.sendall(self._more)
            except OSError:
                self.ended.release()


class DrippingServer(_EndlessServer):
    """start: sent at once to each client. drip: one byte, then sent repeatedly until closed."""

    def __init__(self, start: bytes, drip: bytes = b"x", *, longest: float = LONGEST) -> None:
        super().__init__(start, drip, pause=PAUSE, longest=longest)


class FloodingServer(_EndlessServer):
    """start: sent at once to each client. flood: sent repeatedly until the client or the server closes."""

    def __init__(self, start: bytes, flood: bytes, *, longest: float = LONGEST) -> None:
        super().__init__(start, flood * (64 * 1024 // len(flood) + 1), pause=0.0, longest=longest)
