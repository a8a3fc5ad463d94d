"""Targets: where messages are delivered. One message is one CloudEvent in structured JSON."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx

from kopuro_client.deadline import Deadline
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Message
from kopuro_client.transport import json_body

MEDIA_TYPE: Final = "application/cloudevents+json"
# Seconds for one attempt, and for a connection.
ATTEMPT_LIMIT: Final = 30.0
CONNECT_LIMIT: Final = 5.0
# Statuses that say nothing about the message: too many requests, and those of a proxy whose endpoint is down.
_DOWN: Final = frozenset({429, 502, 503, 504})


class NotAcceptedError(Exception):
    """The target did not accept a message. The text says why; it has no content of the message.

    is_refusal: whether the target works and refused just this message.
    """

    def __init__(self, reason: str, *, is_refusal: bool = False) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal


class Target(Protocol):
    """A receiver of messages. Not for use by several threads at once."""

    def deliver(self, message: Message) -> None:
        """Return when the target has taken responsibility for the message. Raises NotAcceptedError."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class HttpTarget:
    """An HTTP endpoint. It accepts a message with any status of 2xx; redirects are not followed.

    Environment variables of proxies are ignored: messages name people's referrals, and the endpoint is local.
    """

    def __init__(self, url: str) -> None:
        """Raises InvalidArgumentError unless the URL is http or https with a host."""
        parsed = urlsplit(url)
        if parsed.scheme not in ("http", "https") or not parsed.hostname:
            raise InvalidArgumentError("the target is not an http, https, amqp or amqps URL of a host")
        self._url = url
        self._is_secure = parsed.scheme == "https"
        self._deadline = Deadline()
        self._http = self._connections()

    def deliver(self, message: Message) -> None:
        """See `Target`."""
        body = json_body(message)
        try:
            http = self._http
            status = self._deadline.run(lambda: self._post(http, body), seconds=ATTEMPT_LIMIT + CONNECT_LIMIT)
        except TimeoutError:
            # The attempt runs on for as long as the target sends something, unless its connection is closed.
            self._http.close()
            self._http = self._connections()
            raise NotAcceptedError("the target did not respond in time") from None
        except httpx.TimeoutException:
            raise NotAcceptedError("the target did not respond in time") from None
        except httpx.ConnectError:
            raise NotAcceptedError("cannot connect to the target") from None
        except httpx.HTTPError:
            raise NotAcceptedError("the connection to the target failed") from None
        if not 200 <= status < 300:
            raise NotAcceptedError(f"the target responded {status}", is_refusal=status not in _DOWN)

    def _connections(self) -> httpx.Client:
        return httpx.Client(
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context() if self._is_secure else True,
            timeout=httpx.Timeout(ATTEMPT_LIMIT, connect=CONNECT_LIMIT),
            headers={"Content-Type": MEDIA_TYPE, "User-Agent": "kopuro-listen"},
        )

    def _post(self, http: httpx.Client, body: bytes) -> int:
        # The body of the response is not read: only the status counts.
        with http.stream("POST", self._url, content=body) as response:
            return response.status_code

    def close(self) -> None:
        """See `Target`."""
        self._http.close()


def target_of(url: str, queue: str | None, amqp: Callable[[str, str], Target]) -> Target:
    """Return the target at a URL. queue: of an AMQP target. amqp: makes an AMQP target.

    Raises InvalidArgumentError for a URL of another kind, or a queue without an AMQP URL.
    """
    if url.startswith(("amqp://", "amqps://")):
        if queue is None:
            raise InvalidArgumentError("an amqp URL needs --queue")
        return amqp(url, queue)
    if queue is not None:
        raise InvalidArgumentError("--queue needs an amqp or amqps URL")
    return HttpTarget(url)
