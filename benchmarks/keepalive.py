"""A minimal, cheap HTTP/1.1 client over keep-alive connections, for the load driver."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


class Rejected(Exception):
    """An error response; the text has the request, the status and the start of the body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """The address of a service."""

    host: str
    port: int


# Servers close idle connections (Kopuro after 30 seconds), possibly just when they are used again.
_IDLE_SECONDS = 15.0


class Link:
    """One connection with one request at a time.

    The first request opens it; later ones reopen it after a failure or a long idle time.
    """

    def __init__(self, door: Endpoint, token: str, source: str | None = None) -> None:
        """source: the local address to connect from."""
        self._door = door
        self._local = None if source is None else (source, 0)
        self.bear(token)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    def bear(self, token: str) -> None:
        """Use this token for all later requests."""
        self._head = f"Host: {self._door.host}:{self._door.port}\r\nAuthorization: Bearer {token}\r\n"

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return status and body. Raises OSError or asyncio.IncompleteReadError if the connection breaks."""
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._door.host, self._door.port, local_addr=self._local
            )
        reader, writer = self._streams
        try:
            head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode("ascii") + body)
            answer = await _answer(reader)
            self._used = time.monotonic()
            return answer
        except BaseException:
            self.close()
            raise

    async def done(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return the body of a successful response. Raises Rejected, and what `ask` raises."""
        status, answer = await self.ask(method, path, body)
        if not 200 <= status < 300:
            raise Rejected(f"{method} {path}: {status} {answer[:300].decode(errors='replace')}")
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Links:
    """A pool of a fixed number of connections. source: see `Link`."""

    def __init__(self, door: Endpoint, token: str, count: int, source: str | None = None) -> None:
        self._all = [Link(door, token, source) for _ in range(count)]
        self._free: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        for link in self._all:
            self._free.put_nowait(link)

    def bear(self, token: str) -> None:
        """See `Link.bear`."""
        for link in self._all:
            link.bear(token)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Link]:
        """Provide a connection for the block."""
        link = await self._free.get()
        try:
            yield link
        finally:
            self._free.put_nowait(link)

    async def done(self, method: str, path: str, body: bytes = b"") -> bytes:
        """See `Link.done`."""
        async with self.one() as link:
            return await link.done(method, path, body)

    def close(self) -> None:
        for link in self._all:
            link.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lower = head.lower()
    if (at := lower.find(b"content-length:")) >= 0:
        length = int(lower[at + 15 : lower.index(b"\r", at)])
        return status, await reader.readexactly(length) if length else b""
    if b"transfer-encoding: chunked" in lower:
        return status, await _chunks(reader)
    return status, b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while length := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(length))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(parts)
