"""A server that sends its response as fast as it is read and never completes it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class FloodingServer:
    """start: sent at once to each client. flood: sent repeatedly until the client or the server closes."""

    def __init__(self, start: bytes, flood: bytes) -> None:
        self._start = start
        self._flood = flood * (64 * 1024 // len(flood) + 1)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.ended = threading.Semaphore(0)  # released when a client has closed its connection

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(self._start)
            while True:
                connection.sendall(self._flood)
        self.ended.release()
