"""A server that sends its response byte by byte and never completes it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

PAUSE = 0.05  # seconds between two bytes


class DrippingServer:
    """start: sent at once to each client. drip: one byte, then sent repeatedly until closed."""

    def __init__(self, start: bytes, drip: bytes = b"x") -> None:
        self._start = start
        self._drip = drip
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

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
        with connection, suppress(OSError):
            connection.sendall(self._start)
            while not self._closing.wait(PAUSE):
                connection.sendall(self._drip)
