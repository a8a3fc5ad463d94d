"""The partners' users at RabbitMQ, through its management API, as a user with the tag `administrator`.

Source: RabbitMQ, "Management HTTP API": /api/users, /api/permissions, /api/topic-permissions,
/api/user-limits, /api/connections/username, /api/queues. Verified on 3.10.8.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import orjson

from contracts import base64_text
from contracts.broker_rights import PARTNERS_VHOST
from runtime.messaging.ports import BrokerUnavailable
from runtime.tls import TlsFiles, handshake_fault
from services.gateway.domain.partner import (
    MOST_CHANNELS,
    MOST_CONNECTIONS,
    NOTHING,
    SUBMIT,
    TAG,
    is_ours,
    queue_of,
    rights_of,
    submitter,
)
from services.gateway.domain.window import Count
from services.gateway.ports import Access, UserConflict

ANSWER_SECONDS: Final = 5.0
_MOST_BYTES: Final = 16 * 1024 * 1024


class ManagementUsers:
    """See `ports.BrokerUsers`. uri: `http[s]://user:password@host:port`; it stays out of every message."""

    def __init__(self, uri: str, *, vhost: str = PARTNERS_VHOST, tls: TlsFiles | None = None) -> None:
        """tls: the files for https; None: the system's CAs."""
        parts = urlsplit(uri)
        assert parts.hostname is not None
        self._secure = parts.scheme == "https"
        self._tls = tls or TlsFiles()
        self._host, self._port = parts.hostname, parts.port or (15671 if self._secure else 15672)
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._headers = {
            "Authorization": "Basic " + base64_text.encoded(pair.encode()),
            "Content-Type": "application/json",
        }
        self._root = f"{parts.path.rstrip('/')}/api"
        self._vhost = quote(vhost, safe="")

    def all(self) -> list[Access]:
        """See `ports.BrokerUsers`."""
        names = sorted(user["name"] for user in self._ask("GET", "/users") if is_ours(user))
        granted = {entry["user"] for entry in self._ask("GET", f"/vhosts/{self._vhost}/permissions")}
        return [Access(organization=name, is_granted=name in granted) for name in names]

    def put(self, organization: str, password_hash: str) -> None:
        """See `ports.BrokerUsers`."""
        self._require_ours(organization)
        body = {
            "password_hash": password_hash,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": TAG,
        }
        self._ask("PUT", f"/users/{_quoted(organization)}", body)

    def remove(self, organization: str) -> None:
        """See `ports.BrokerUsers`."""
        if self._require_ours(organization):
            self.withdraw(organization)
            self._ask("DELETE", f"/users/{_quoted(organization)}")
        self._ask("DELETE", f"/queues/{self._vhost}/{_quoted(queue_of(organization))}")

    def grant(self, organization: str) -> None:
        """See `ports.BrokerUsers`."""
        if not self._require_ours(organization):
            raise UserConflict(organization)
        user, rights = _quoted(organization), rights_of(organization)
        limits = {"max-connections": MOST_CONNECTIONS, "max-channels": MOST_CHANNELS}
        for name, value in limits.items():
            self._ask("PUT", f"/user-limits/{user}/{name}", {"value": value})
        # Before the permission to write: without a topic permission every routing key is allowed.
        topic = {"exchange": SUBMIT, "write": rights.routing_key, "read": NOTHING}
        self._ask("PUT", f"/topic-permissions/{self._vhost}/{user}", topic)
        permissions = {"configure": rights.configure, "write": rights.write, "read": rights.read}
        self._ask("PUT", f"/permissions/{self._vhost}/{user}", permissions)

    def withdraw(self, organization: str) -> None:
        """See `ports.BrokerUsers`."""
        if not self._require_ours(organization):
            return
        user = _quoted(organization)
        # First the permissions, so that a closed connection cannot be opened again.
        self._ask("DELETE", f"/permissions/{self._vhost}/{user}")
        self._ask("DELETE", f"/connections/username/{user}")

    def count(self, organization: str) -> Count | None:
        """See `ports.BrokerUsers`.

        The mark is the queue process's number of reductions, which the broker publishes with each count.
        """
        found = self._ask("GET", f"/queues/{self._vhost}/{_quoted(queue_of(organization))}")
        if not isinstance(found, dict):
            return None
        messages, mark = found.get("messages"), found.get("reductions")
        if not isinstance(messages, int) or not isinstance(mark, int):
            return None
        return Count(messages=messages, mark=mark)

    def submitters(self) -> list[str]:
        """Return the organisations with a queue of submissions, also those without a user any more.

        Raises BrokerUnavailable.
        """
        queues = self._ask("GET", f"/queues/{self._vhost}?columns=name")
        return [name for queue in queues or () if (name := submitter(queue["name"])) is not None]

    def _require_ours(self, organization: str) -> bool:
        """Return whether the organisation has a user. Raises UserConflict for another's user."""
        user = self._ask("GET", f"/users/{_quoted(organization)}")
        if user is None:
            return False
        if not is_ours(user):
            raise UserConflict(organization)
        return True

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of an answer; None for an empty one, and where nothing is found."""
        connection = self._connection()
        try:
            content = None if body is None else orjson.dumps(body)
            connection.request(method, self._root + path, body=content, headers=self._headers)
            response = connection.getresponse()
            text = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            fault = handshake_fault(error, over_tls=self._secure)
            reason = f" ({type(error).__name__})" if fault is None else f": {fault}"
            raise BrokerUnavailable(f"The partners' management API does not answer{reason}.") from error
        finally:
            connection.close()
        if response.status == 404:
            return None
        if not 200 <= response.status < 300:
            raise BrokerUnavailable(f"The partners' management API answers with status {response.status}.")
        try:
            return orjson.loads(text) if text else None
        except orjson.JSONDecodeError as error:
            raise BrokerUnavailable("The partners' management API does not answer with JSON.") from error

    def _connection(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            context = self._tls.context()
        except OSError as error:
            raise BrokerUnavailable("The files for TLS to the partners' broker cannot be used.") from error
        return http.client.HTTPSConnection(self._host, self._port, timeout=ANSWER_SECONDS, context=context)


def _quoted(name: str) -> str:
    return quote(name, safe="")
