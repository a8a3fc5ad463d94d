"""A TCP proxy between a client and the broker that can go silent without closing anything."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class TcpProxy:
    """Listens on loopback and forwards to `target`.

    swallow: what is on its way to the client is read and thrown away. freeze: nothing is read any more,
    in either direction. break_all: every connection is reset.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.swallow = threading.Event()
        self.frozen = threading.Event()
        self.connections = 0
        self._stopping = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._thread.join(timeout=10)
        self.break_all()
        self._listener.close()

    def break_all(self) -> None:
        for end in list(self._pairs):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(timeout=0.02):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if source is self._listener:
                        self._accept(selector)
                    elif not self.frozen.is_set():
                        self._forward(selector, source)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self.connections += 1
        self._clients.add(client)
        self._pairs |= {client: server, server: client}
        for end in (client, server):
            selector.register(end, selectors.EVENT_READ)

    def _forward(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        if source not in self._pairs:
            return
        target = self._pairs[source]
        try:
            data = source.recv(65536)
            if data and not (self.swallow.is_set() and target in self._clients):
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (source, target):
                selector.unregister(end)
                self._pairs.pop(end)
                end.close()
