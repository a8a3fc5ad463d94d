"""Servers that never complete their response: one sends it byte by byte, one as fast as it is read."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self

PAUSE = 0.05  # seconds between two bytes of a dripping server


class _EndlessServer(ABC):
    """Sends `start` to each client, and then what a subclass sends until the client or the server closes."""

    def __init__(self, start: bytes) -> None:
        self._start = start
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
        with connection, suppress(OSError):
            connection.sendall(self._start)
            self._send_on(connection)
        self.ended.release()

    @abstractmethod
    def _send_on(self, connection: socket.socket) -> None:
        """Send until the server closes. Raises OSError when the client closes."""


class DrippingServer(_EndlessServer):
    """start: sent at once to each client. drip: one byte, then sent repeatedly until closed."""

    def __init__(self, start: bytes, drip: bytes = b"x") -> None:
        super().__init__(start)
        self._drip = drip

    def _send_on(self, connection: socket.socket) -> None:
        while not self._closing.wait(PAUSE):
            connection.sendall(self._drip)


class FloodingServer(_EndlessServer):
    """start: sent at once to each client. flood: sent repeatedly until the client or the server closes."""

    def __init__(self, start: bytes, flood: bytes) -> None:
        super().__init__(start)
        self._flood = flood * (64 * 1024 // len(flood) + 1)

    def _send_on(self, connection: socket.socket) -> None:
        while not self._closing.is_set():
            connection.sendall(self._flood)
