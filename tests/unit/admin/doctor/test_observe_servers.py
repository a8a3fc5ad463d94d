"""The deadline of the doctor's own requests to a hub's servers."""

from __future__ import annotations

import time

import pytest

from admin.doctor import observe_servers
from admin.doctor.observe_servers import readiness, tls_servers
from tests.endless_servers import DrippingServer

SECONDS = 0.5


@pytest.fixture(autouse=True)
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe_servers, "_SECONDS", SECONDS)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\n\r\n{}"], ids=["header", "body"]
)
def test_dripping_readiness_is_a_fault_at_the_deadline(start: bytes) -> None:
    with DrippingServer(start, b" ", longest=6 * SECONDS) as server:
        started = time.monotonic()
        found = readiness("audit", {"KOPURO_OPERATIONS_ADDRESS": f"127.0.0.1:{server.port}"})
        assert time.monotonic() - started < 2 * SECONDS
    assert found.fault == "TimeoutError"


def test_dripping_handshake_ends_at_the_deadline() -> None:
    with DrippingServer(b"\x16\x03\x03\x40\x00\x02", b"\0", longest=6 * SECONDS) as server:
        started = time.monotonic()
        (found,) = tls_servers(
            {"audit": {"KOPURO_AMQP_URI": f"amqps://user:password@127.0.0.1:{server.port}/kopuro"}}
        )
        assert time.monotonic() - started < 2 * SECONDS
    assert found.certificate is None
