"""The hub's own addresses: where a mailbox is read, and where no webhook is sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson
from sqlalchemy.engine import make_url

from runtime.settings import Address, Settings
from runtime.web.paging import encode_cursor
from services.delivery.handlers import mailbox_cursors
from services.delivery.webhooks.adapters.http_sender import Resolve, resolve
from services.delivery.webhooks.domain.addresses import Place

_PORTS: Final = {"http": 80, "https": 443, "amqp": 5672, "amqps": 5671, "postgresql": 5432}
_WILDCARDS: Final = {"0.0.0.0": ("127.0.0.1",), "::": ("127.0.0.1", "::1")}  # noqa: S104 - not bound here
_KEPT_SECONDS: Final = 60.0


class HubAddresses:
    """The addresses in the discovery document and in delivery's settings. Safe for concurrent callers."""

    def __init__(self, settings: Settings, resolve: Resolve = resolve) -> None:
        self._discovery: Path = settings.discovery
        self._hosts = [
            *_hosts_of((settings.http_address, settings.operations_address, *settings.webhook_refused)),
            *_host_of(settings.amqp_uri),
            *_host_of(settings.broker_management_uri or ""),
            *_database_host(settings.database_url),
        ]
        self._resolve = resolve
        self._found: tuple[float, frozenset[Place]] | None = None

    def __call__(self) -> frozenset[Place]:
        """Return every address and port, resolved at most once a minute."""
        if self._found is None or time.monotonic() - self._found[0] > _KEPT_SECONDS:
            self._found = (time.monotonic(), self._resolved())
        return self._found[1]

    def mailbox_url(self, organization: str, sequence: int) -> str:
        """Return the URL that reads the message with the sequence in the organisation's mailbox.

        It is relative while the discovery document does not name delivery.
        """
        cursor = encode_cursor(mailbox_cursors(organization), [sequence - 1])
        # `from` reads again what was acknowledged; `after` would pass it and return the next message.
        path = f"/v1/mailbox?from={cursor}&limit=1"
        return self._services().get("delivery", "").rstrip("/") + path

    def _resolved(self) -> frozenset[Place]:
        hosts = [*self._hosts, *(place for url in self._services().values() for place in _host_of(url))]
        places: set[Place] = set()
        for host, port in hosts:
            try:
                places.update((found[4][0], port) for found in self._resolve(host, port))
            except (OSError, UnicodeError):
                continue  # what does not resolve cannot be reached by that name
        return frozenset(places)

    def _services(self) -> dict[str, str]:
        try:
            services = orjson.loads(self._discovery.read_bytes()).get("services", {})
        except (OSError, ValueError):
            return {}  # not written yet
        return {name: url for name, url in services.items() if isinstance(url, str)}


def _hosts_of(addresses: Sequence[Address]) -> list[Place]:
    return [
        (host, address.port)
        for address in addresses
        for host in _WILDCARDS.get(address.host, (address.host,))
    ]


def _host_of(url: str) -> list[Place]:
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    return [(parts.hostname, port)] if parts.hostname and port else []


def _database_host(url: str) -> list[Place]:
    parsed = make_url(url)
    return [(parsed.host, parsed.port or _PORTS["postgresql"])] if parsed.host else []
