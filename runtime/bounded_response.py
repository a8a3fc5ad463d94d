"""Responses of other servers over `http.client`, read to a limit and in turns with other greenlets.

`http.client` reads interim responses, trailers and the extensions of chunks without a limit. A socket with
bytes to read does not wait. So a server that sends without end would block every other greenlet of the
process, including that of a deadline.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, ClassVar


class ResponseTooLarge(OSError):
    """The server sent more than a response may have."""


class BoundedResponse(http.client.HTTPResponse):
    """Set it as the `response_class` of a connection. Reading raises ResponseTooLarge beyond `most` bytes.

    most: of the status lines, headers, body and framing together.
    """

    most: ClassVar[int] = 128 * 1024

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(_Source(sock, self.most), *arguments, **options)  # type: ignore[arg-type]  # it reads a file


class _Source:
    """What `http.client` takes from a socket: the file that it reads."""

    def __init__(self, connected: socket.socket, most: int) -> None:
        self._connected = connected
        self._most = most

    def makefile(self, _mode: str) -> io.BufferedReader:
        # A file of the socket keeps it open when `http.client` closes it before it has read the body.
        return io.BufferedReader(_BoundedReader(self._connected.makefile("rb", buffering=0), self._most))


class _BoundedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, most: int) -> None:
        self._raw = raw
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        time.sleep(0)
        size: int | None = self._raw.readinto(buffer)
        self._left -= size or 0
        if self._left < 0:
            raise ResponseTooLarge
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
