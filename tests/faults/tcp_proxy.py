"""A TCP proxy between a service and the broker that simulates network faults."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536
# With no time to linger, a closed socket sends a reset (POSIX, SO_LINGER).
_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """A proxy on loopback to the broker at an AMQP URI; `uri` is the broker's through the proxy.

    For as long as they are set or not zero:

    - delay: seconds by which every piece is delayed, in each direction;
    - swallow: bytes for the client are read and discarded;
    - frozen: nothing is read any more, in either direction; new connections are let in and left alone;
    - lingering: when one side closes, the other side is not notified.

    Once: break_all (every connection is closed), reset_all (with a reset), hang_up (the broker's side is
    closed), forget_all (half-open: every present connection stays open and silent permanently, new ones are
    served).
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.uri = parts._replace(netloc=f"{parts.username}:{parts.password}@{address}").geturl()
        self.delay = 0.0
        self.swallow = threading.Event()
        self.frozen = threading.Event()
        self.lingering = threading.Event()
        self.connections = 0
        self._stopping = threading.Event()
        self._links: list[_Link] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)
        self.heal()
        self.break_all()
        for link in self._links:
            link.join()

    def heal(self) -> None:
        """End all faults. Delayed bytes arrive; links that have lost bytes are reset."""
        self.delay = 0.0
        for lasting in (self.swallow, self.frozen, self.lingering):
            lasting.clear()
        for link in self._links:
            if link.lossy.is_set():
                link.reset()

    def break_all(self) -> None:
        for link in self._links:
            link.close()

    def reset_all(self) -> None:
        for link in self._links:
            link.reset()

    def hang_up(self) -> None:
        for link in self._links:
            link.hang_up()

    def forget_all(self) -> None:
        for link in self._links:
            link.silent.set()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._links.append(_Link(self, client, server))


class _Link:
    """One connection, carried by two threads."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends = (client, server)
        self.silent = threading.Event()
        self.lossy = threading.Event()
        self.ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._carry, args=(client, server, False), daemon=True),
            threading.Thread(target=self._carry, args=(server, client, True), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self.ended.set()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._ends[1].shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.ended.set()
        # The threads notice and stop: the reset is sent once no thread reads any more.
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=10)
        for end in self._ends:
            end.close()

    def _carry(self, source: socket.socket, target: socket.socket, to_client: bool) -> None:
        try:
            while self._may_read() and (data := self._received(source)):
                if self._proxy.delay:
                    self.ended.wait(self._proxy.delay)
                self._may_read()
                if to_client and self._proxy.swallow.is_set():
                    self.lossy.set()
                else:
                    target.sendall(data)
        except OSError:
            pass
        while self._proxy.lingering.is_set() and not self.ended.is_set():
            time.sleep(0.02)
        if not self.ended.is_set():
            self.close()

    def _received(self, source: socket.socket) -> bytes:
        """Return the next bytes; empty if the link has ended."""
        while not self.ended.is_set():
            if select.select([source], [], [], 0.05)[0]:
                return source.recv(_CHUNK)
        return b""

    def _may_read(self) -> bool:
        """Return True when no fault delays the link; False if it has ended."""
        while (self._proxy.frozen.is_set() or self.silent.is_set()) and not self.ended.is_set():
            time.sleep(0.02)
        return not self.ended.is_set()
