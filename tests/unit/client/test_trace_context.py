from __future__ import annotations

import pytest

from kopuro_client import RetryPolicy, Transport, continuing_trace
from kopuro_client.transport import HttpRequest
from tests.unit.client.fake_hub import FakeHub, json_response

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def sent(hub: FakeHub, message: dict[str, object]) -> str | None:
    """Return the traceparent of a request within the message's trace."""
    hub.script("GET", "/intake/v1/x", json_response({}))
    transport = Transport(retry=RetryPolicy(attempts=1), total_limit=30)
    with continuing_trace(message):
        transport.send(HttpRequest(method="GET", url=hub.base + "/intake/v1/x", repeatable=True))
    transport.close()
    return hub.received[-1].headers.get("traceparent")


def test_request_continues_the_trace_of_the_message(hub: FakeHub) -> None:
    assert sent(hub, {"traceparent": TRACEPARENT}) == TRACEPARENT


@pytest.mark.parametrize("message", [{}, {"traceparent": None}, {"traceparent": "a\r\nX-Injected: 1"}])
def test_message_without_a_valid_trace_adds_no_header(hub: FakeHub, message: dict[str, object]) -> None:
    assert sent(hub, message) is None


def test_trace_ends_with_its_block(hub: FakeHub) -> None:
    sent(hub, {"traceparent": TRACEPARENT})
    assert sent(hub, {}) is None
