"""A queue of a RabbitMQ broker as a target, with publisher confirms. Needs the extra `amqp`."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

from kopuro_client.errors import InvalidArgumentError
from kopuro_client.listening.target import ATTEMPT_LIMIT, CONNECT_LIMIT, MEDIA_TYPE, NotAcceptedError
from kopuro_client.records import Message
from kopuro_client.transport import json_body

try:
    import amqp
except ImportError:  # the extra is not installed
    amqp = None

_PORTS = {"amqp": 5672, "amqps": 5671}


class AmqpTarget:
    """An existing queue. Messages are persistent and carry the CloudEvent's id as `message_id`.

    The broker accepts a message by its confirm: it is stored in a durable queue then. A message that no queue
    takes is returned, so a missing queue is a failure. Nothing is declared: the owner of the broker decides
    on the queue's arguments.
    """

    def __init__(self, url: str, queue: str) -> None:
        """Raises InvalidArgumentError for a URL without a host, or if the extra is not installed."""
        if amqp is None:
            raise InvalidArgumentError("an amqp URL needs the extra: pip install 'kopuro-client[amqp]'")
        parsed = urlsplit(url)
        try:
            port = parsed.port
        except ValueError:
            port = -1
        if not parsed.hostname or port == -1 or not queue:
            raise InvalidArgumentError("the target is not an amqp URL of a host, with a queue's name")
        self._queue = queue
        self._connection: Any = None
        self._channel: Any = None
        self._returned: list[str] = []
        self._options = {
            "host": f"{parsed.hostname}:{port or _PORTS[parsed.scheme]}",
            "userid": unquote(parsed.username or "guest"),
            "password": unquote(parsed.password or "guest"),
            "virtual_host": unquote(parsed.path[1:]) or "/",
            "connect_timeout": CONNECT_LIMIT,
            "read_timeout": ATTEMPT_LIMIT,
            "write_timeout": ATTEMPT_LIMIT,
            "confirm_publish": True,
        }
        if parsed.scheme == "amqps":
            self._options["ssl"] = {
                "context": ssl.create_default_context(),
                "server_hostname": parsed.hostname,
            }

    def deliver(self, message: Message) -> None:
        """See `Target`. After a failure the next attempt connects again."""
        content = amqp.Message(
            json_body(message),
            content_type=MEDIA_TYPE,
            delivery_mode=2,
            message_id=message["id"],
            type=message["type"],
        )
        self._returned.clear()
        try:
            channel = self._open_channel()
            channel.basic_publish_confirm(
                content, routing_key=self._queue, mandatory=True, confirm_timeout=ATTEMPT_LIMIT
            )
        except amqp.exceptions.MessageNacked:
            raise NotAcceptedError("the broker did not take the message") from None
        except (amqp.AMQPError, OSError):
            self.close()
            raise NotAcceptedError("the broker did not confirm the message") from None
        if self._returned:
            raise NotAcceptedError("the broker has no such queue")

    def _open_channel(self) -> Any:
        if self._channel is None:
            self._connection = amqp.Connection(**self._options)
            self._connection.connect()
            self._channel = self._connection.channel()
            self._channel.events["basic_return"].add(self._note_return)
        return self._channel

    def _note_return(self, *_: object) -> None:
        self._returned.append("returned")

    def close(self) -> None:
        """See `Target`."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(amqp.AMQPError, OSError):
                connection.collect()
