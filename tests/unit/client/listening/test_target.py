"""Targets: a real endpoint, a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import amqp
import orjson
import pytest

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.listening.amqp_target import AmqpTarget
from kopuro_client.listening.target import HttpTarget, NotAcceptedError, target_of
from kopuro_client.records import Message
from tests.endless_servers import FloodingServer
from tests.unit.client.commands.samples import OFFER_OPENED
from tests.unit.client.fake_hub import FakeHub, Response

MESSAGE: Message = OFFER_OPENED  # type: ignore[assignment]


@pytest.fixture
def endpoint(hub: FakeHub) -> Iterator[tuple[FakeHub, HttpTarget]]:
    target = HttpTarget(f"{hub.url.removesuffix('/.well-known/kopuro')}/mine/kopuro?key=1")
    yield hub, target
    target.close()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_endpoint_accepts_the_event_with_any_status_of_success(
    endpoint: tuple[FakeHub, HttpTarget], status: int
) -> None:
    hub, target = endpoint
    hub.script("POST", "/mine/kopuro", Response(status=status))
    target.deliver(MESSAGE)
    (received,) = hub.requests_to("/mine/kopuro")
    assert received.json() == MESSAGE
    assert received.headers["content-type"] == "application/cloudevents+json"
    assert received.query == {"key": "1"}


@pytest.mark.parametrize("status", [301, 307, 400, 408, 410, 422, 429, 500, 501, 502, 503, 504])
def test_every_other_status_is_a_failure_and_redirects_are_not_followed(
    endpoint: tuple[FakeHub, HttpTarget], status: int
) -> None:
    hub, target = endpoint
    hub.script("POST", "/mine/kopuro", Response(status=status, headers={"Location": "/elsewhere"}))
    with pytest.raises(NotAcceptedError, match=f"the target responded {status}") as raised:
        target.deliver(MESSAGE)
    assert raised.value.is_refusal is (status not in (429, 502, 503, 504))
    assert hub.requests_to("/elsewhere") == []


def test_attempt_at_a_response_without_end_is_over_with_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{HttpTarget.__module__}.ATTEMPT_LIMIT", 0.2)
    monkeypatch.setattr(f"{HttpTarget.__module__}.CONNECT_LIMIT", 0.1)
    with FloodingServer(b"", b"HTTP/1.1 100 Continue\r\n\r\n") as endpoint:
        target = HttpTarget(f"http://127.0.0.1:{endpoint.port}/mine")
        for _ in range(2):
            with pytest.raises(NotAcceptedError, match="did not respond in time"):
                target.deliver(MESSAGE)
            assert endpoint.ended.acquire(timeout=10)
        target.close()


def test_unreachable_endpoint_is_a_failure_that_names_no_secret() -> None:
    target = HttpTarget("http://user:secret@127.0.0.1:1/path")
    with pytest.raises(NotAcceptedError, match="cannot connect to the target") as raised:
        target.deliver(MESSAGE)
    assert "secret" not in str(raised.value)
    target.close()


@pytest.mark.parametrize(
    ("url", "queue"),
    [
        ("ftp://host/", None),
        ("http:///path", None),
        ("localhost:8080", None),
        ("http://host/", "queue"),
        ("amqp://host/", None),
        ("amqp:///", "queue"),
        ("amqp://host:none/", "queue"),
        ("amqp://host/", ""),
    ],
)
def test_unusable_target_is_refused_before_anything_is_read(url: str, queue: str | None) -> None:
    with pytest.raises(InvalidArgumentError):
        target_of(url, queue, AmqpTarget)


def test_queue_gets_persistent_events_and_a_missing_one_is_a_failure(vhost: str) -> None:
    target = AmqpTarget(vhost, "from-kopuro")
    with pytest.raises(NotAcceptedError, match="no such queue"):
        target.deliver(MESSAGE)
    reader = amqp.Connection(
        **{name: target._options[name] for name in ("host", "userid", "password", "virtual_host")}
    )
    reader.connect()
    channel = reader.channel()
    channel.queue_declare("from-kopuro", durable=True, auto_delete=False)
    target.deliver(MESSAGE)
    received: Any = channel.basic_get("from-kopuro", no_ack=True)
    assert received.properties["delivery_mode"] == 2
    assert received.properties["message_id"] == MESSAGE["id"]
    assert received.properties["content_type"] == "application/cloudevents+json"
    assert orjson.loads(received.body) == MESSAGE
    # Its connection breaks: one failure, then it connects again.
    target._connection.transport.sock.close()
    with pytest.raises(NotAcceptedError, match="did not confirm"):
        target.deliver(MESSAGE)
    target.deliver(MESSAGE)
    assert channel.basic_get("from-kopuro", no_ack=True) is not None
    reader.close()
    target.close()
