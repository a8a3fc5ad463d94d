"""An organisation's own program over AMQP, as docs/integrating.md describes it, without Kopuro's code."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import Any, Self

import kombu
from kombu.exceptions import OperationalError

# Raised by operations on a connection that the broker has closed.
CLOSED = (OperationalError, ConnectionError)


class AmqpPartner:
    """One connection with a consumer. seen: the ids of messages, in the order of their first arrival."""

    def __init__(self, organization: str, url: str, *, prefetch: int = 20) -> None:
        """url: `amqp://user:password@host:port/partners`. Raises what kombu raises."""
        self.organization = organization
        self._connection = kombu.Connection(url, transport_options={"confirm_publish": True})
        self._connection.ensure_connection(max_retries=1, timeout=10)
        self._channel = self._connection.channel()
        self._messages: list[Any] = []
        self.seen: dict[str, dict[str, Any]] = {}
        self._deliveries = 0
        queue = kombu.Queue(f"mailbox.{organization}", no_declare=True)
        self._consumer = kombu.Consumer(
            self._channel, [queue], on_message=self._on_message, accept=None, prefetch_count=prefetch
        )
        self._consumer.consume()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.release()

    def submit(self, body: dict[str, Any] | bytes, *, message_id: str | None = None, **changes: Any) -> str:
        """Publish a submission and wait for the broker's confirm; return its message id."""
        message_id = message_id or str(uuid.uuid4())
        producer = kombu.Producer(self._channel, auto_declare=False)
        properties = {"user_id": self.organization, "message_id": message_id, **changes}
        producer.publish(
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            exchange=f"submit.{self.organization}",
            routing_key=properties.pop("routing_key", self.organization),
            **{
                "content_type": "application/json",
                "content_encoding": "binary" if isinstance(body, bytes) else "utf-8",
                "delivery_mode": 2,
                **properties,
            },
        )
        return message_id

    def await_message(self, name: str, *, seconds: float = 60.0, **data: Any) -> dict[str, Any]:
        """Return the first message of that name whose data has these members; acknowledge everything."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self.seen.values():
                matches = data.items() <= message["data"].items()
                if message["type"] == f"kopuro.{name}.v1" and matches:
                    return message
            assert time.monotonic() < deadline, f"no {name} with {data}"
            self.take(1.0)

    def answer_to(self, message_id: str) -> dict[str, Any]:
        """Return the data of the answer to a submission."""
        deadline = time.monotonic() + 60
        while True:
            for message in self.seen.values():
                if message["type"].startswith("kopuro.submission.") and (
                    message["data"].get("message_id") == message_id
                ):
                    found: dict[str, Any] = message["data"]
                    return found
            assert time.monotonic() < deadline, "no answer"
            self.take(1.0)

    def take(self, seconds: float, *, acknowledge: bool = True) -> list[Any]:
        """Receive what arrives within that time; return the deliveries."""
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=seconds)
        taken, self._messages = self._messages, []
        for message in taken:
            event = json.loads(message.body)
            assert message.properties["message_id"] == event["id"]
            assert message.properties["type"] == event["type"]
            assert message.content_type == "application/cloudevents+json"
            self.seen.setdefault(event["id"], event)
            if acknowledge:
                message.ack()
        return taken

    def _on_message(self, message: Any) -> None:
        self._messages.append(message)
