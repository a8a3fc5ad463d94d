"""Connections of `httpx` on which a response is read to a limit, and in turns with other greenlets.

`httpx` reads interim responses, chunk extensions and trailers without a limit. A socket with bytes to read
does not wait. So a server that sends without end would block every other greenlet of the process, including
that of a deadline. `bounded_response.py` does the same for `http.client`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import eventlet
import httpcore
import httpx

# The most bytes of interim responses and the head together, with what arrives of the body beside them.
HEAD_BYTES: Final = 128 * 1024


class BoundedTransport(httpx.HTTPTransport):
    """Reading raises httpx.ReadError beyond `most` bytes of a body with its framing, or HEAD_BYTES before it.

    It uses no proxy that the environment names.
    """

    def __init__(self, most: int) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        self._pool.close()
        # `httpx` has no argument for the connections' backend. The rest is its own default.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )
        self._most = most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        stream = response.extensions["network_stream"]
        assert isinstance(stream, _BoundedStream)
        stream.left += self._most
        return response


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after this time. A socket's own limit begins again with each byte."""
    timeout = eventlet.Timeout(seconds)
    try:
        yield
    except eventlet.Timeout as fault:
        if fault is not timeout:
            raise
        raise TimeoutError from None
    finally:
        timeout.cancel()


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _BoundedStream(stream)


class _BoundedStream(httpcore.NetworkStream):
    """left: how many bytes may be read until the next request."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self.left = HEAD_BYTES

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        time.sleep(0)
        content = self._stream.read(max_bytes, timeout)
        self.left -= len(content)
        if self.left < 0:
            raise httpcore.ReadError("the response is too large")
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A request, perhaps on a connection that has served another one.
        self.left = HEAD_BYTES
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
