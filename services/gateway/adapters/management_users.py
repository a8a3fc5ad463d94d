"""The partners' users at RabbitMQ, through its management API, as a user with the tag `administrator`.

Source: RabbitMQ, "Management HTTP API": /api/users, /api/permissions, /api/user-limits,
/api/connections/username, /api/vhosts/{vhost}/connections, /api/queues. Verified on 3.10.8.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from contracts.broker_rights import PARTNERS_VHOST
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.management_http import ManagementHttp
from runtime.tls import TlsFiles
from services.gateway.domain.broker_load import BrokerSample, ConnectionLoad
from services.gateway.domain.partner import (
    MOST_CHANNELS,
    MOST_CONNECTIONS,
    TAG,
    is_ours,
    queue_of,
    rights_of,
    submitter,
)
from services.gateway.domain.window import Count
from services.gateway.ports import UserConflict


class ManagementUsers:
    """See `ports.BrokerUsers` and `ports.PartnerConnections`.

    uri: `http[s]://user:password@host:port`; it stays out of every message.
    """

    def __init__(self, uri: str, *, vhost: str = PARTNERS_VHOST, tls: TlsFiles | None = None) -> None:
        """tls: the files for https; None: the system's CAs."""
        self._http = ManagementHttp(uri, tls, api="The partners' management API")
        self._vhost = quote(vhost, safe="")
        self._banned: set[str] = set()
        # The limit at the broker and `_banned` change together: windows grant while the guard releases.
        self._limiting = threading.Lock()

    def all(self) -> list[str]:
        """See `ports.BrokerUsers`."""
        return sorted(user["name"] for user in self._ask("GET", "/users") if is_ours(user))

    def put(self, organization: str, password_hash: str) -> None:
        """See `ports.BrokerUsers`."""
        self._require_ours(organization)
        body = {
            "password_hash": password_hash,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": TAG,
        }
        self._ask("PUT", f"/users/{_quoted(organization)}", body)

    def replace_password(self, organization: str, password_hash: str) -> None:
        """See `ports.BrokerUsers`."""
        if not self._require_ours(organization):
            return
        self.put(organization, password_hash)
        # After the password, so that the earlier one cannot open a connection again.
        self._ask("DELETE", f"/connections/username/{_quoted(organization)}")

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
        with self._limiting:
            is_banned = organization in self._banned
            self._limit(organization, "max-connections", 0 if is_banned else MOST_CONNECTIONS)
        self._limit(organization, "max-channels", MOST_CHANNELS)
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

    def sample(self) -> BrokerSample:
        """See `ports.PartnerConnections`. A connection without statistics yet is left out."""
        columns = "user,name,connected_at,reductions,recv_oct,send_oct"
        found = self._ask("GET", f"/vhosts/{self._vhost}/connections?columns={columns}")
        return BrokerSample(
            connections=tuple(_load(one) for one in found or () if isinstance(one.get("reductions"), int)),
        )

    def ban(self, organization: str, reason: str) -> None:
        """See `ports.PartnerConnections`."""
        with self._limiting:
            self._banned.add(organization)
            if not self._require_ours(organization):
                return
            # First the limit, so that a closed connection cannot be opened again.
            self._limit(organization, "max-connections", 0)
            self._ask("DELETE", f"/connections/username/{_quoted(organization)}", reason=reason)

    def release(self, organization: str) -> None:
        """See `ports.PartnerConnections`."""
        with self._limiting:
            # First, so that `grant` gives it access even if the next steps fail.
            self._banned.discard(organization)
            if self._require_ours(organization):
                self._limit(organization, "max-connections", MOST_CONNECTIONS)

    def submitters(self) -> list[str]:
        """Return the organisations with a queue of submissions, also those without a user any more.

        Raises BrokerUnavailable.
        """
        queues = self._ask("GET", f"/queues/{self._vhost}?columns=name")
        return [name for queue in queues or () if (name := submitter(queue["name"])) is not None]

    def _limit(self, organization: str, name: str, value: int) -> None:
        self._ask("PUT", f"/user-limits/{_quoted(organization)}/{name}", {"value": value})

    def _require_ours(self, organization: str) -> bool:
        """Return whether the organisation has a user. Raises UserConflict for another's user."""
        user = self._ask("GET", f"/users/{_quoted(organization)}")
        if user is None:
            return False
        if not is_ours(user):
            raise UserConflict(organization)
        return True

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, reason: str = "") -> Any:
        """Return the JSON of an answer; None for an empty one, and where nothing is found."""
        status, found = self._http.send(method, path, body, reason=reason)
        if status == 404 or 200 <= status < 300:
            return found
        raise BrokerUnavailable(f"{self._http.api} answers with status {status}.")


def _load(connection: Mapping[str, Any]) -> ConnectionLoad:
    return ConnectionLoad(
        organization=connection["user"],
        name=connection["name"],
        opened=connection.get("connected_at", 0),
        reductions=connection["reductions"],
        received=connection.get("recv_oct", 0),
        sent=connection.get("send_oct", 0),
    )


def _quoted(name: str) -> str:
    return quote(name, safe="")
