"""The deadline of requests to RabbitMQ's management API."""

from __future__ import annotations

import time

import pytest

from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit import management_http
from runtime.messaging.rabbit.management_http import ManagementHttp
from tests.endless_servers import DrippingServer

SECONDS = 0.5

DRIPS = {
    "header": ("http", b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
    "body": ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x"),
    "body that ends with the connection": ("http", b"HTTP/1.1 200 OK\r\n\r\n[]", b" "),
    "handshake": ("https", b"\x16\x03\x03\x40\x00\x02", b"\0"),
}


@pytest.mark.parametrize(("scheme", "start", "drip"), DRIPS.values(), ids=DRIPS.keys())
def test_dripping_response_is_unavailable_at_the_deadline(
    scheme: str, start: bytes, drip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_http, "ANSWER_SECONDS", SECONDS)
    with DrippingServer(start, drip, longest=6 * SECONDS) as server:
        api = ManagementHttp(f"{scheme}://user:password@127.0.0.1:{server.port}", None, api="The API")
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=r"^The API does not answer \(TimeoutError\)\.$"):
            api.send("GET", "/bindings/kopuro")
        assert time.monotonic() - started < 2 * SECONDS
