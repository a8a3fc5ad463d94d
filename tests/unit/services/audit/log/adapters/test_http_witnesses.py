"""The deadline of requests to witnesses."""

from __future__ import annotations

import time

import pytest

from services.audit.log.adapters.http_witnesses import HttpWitnesses
from services.audit.log.ports import WitnessUnreachable
from tests.dripping import DrippingServer

SECONDS = 0.5

DRIPS = {
    "status line": ("http", b"HTTP/1.1 200", b" "),
    "header": ("http", b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
    "body": ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x"),
    "body that ends with the connection": ("http", b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "chunks": ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "handshake": ("https", b"\x16\x03\x03\x40\x00\x02", b"\0"),
}


@pytest.mark.parametrize(("scheme", "start", "drip"), DRIPS.values(), ids=DRIPS.keys())
def test_dripping_response_ends_at_the_deadline(scheme: str, start: bytes, drip: bytes) -> None:
    with DrippingServer(start, drip) as server:
        started = time.monotonic()
        with pytest.raises(WitnessUnreachable):
            HttpWitnesses(SECONDS).add_checkpoint(f"{scheme}://127.0.0.1:{server.port}", b"old 0\n")
        assert time.monotonic() - started < 2 * SECONDS
