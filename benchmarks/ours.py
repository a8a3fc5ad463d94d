"""Our hub, as `kopuro up` runs it, on a broker that is given."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.keepalive import Door
from benchmarks.systems import Doors
from contracts.organization import Organization
from sandbox import network
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from sandbox.ports import LOOPBACK

_PUBLISHED = re.compile(r"^kopuro_messages_published_total (\S+)$", re.MULTILINE)


def _boundless(organizations: Iterable[Organization]) -> list[Organization]:
    """The organisations with room for any number: the load would otherwise fill them and end unplaced."""
    return [
        replace(
            organization,
            services=tuple(
                replace(service, capacity=replace(service.capacity, maximum=None))
                for service in organization.services
            ),
        )
        for organization in organizations
    ]


class OurHub:
    """See `systems.System`."""

    name = "kopuro"
    work_begins_with = "kopuro.case.released.v1"

    def __init__(self, directory: Path, amqp_uri: str) -> None:
        environment = {**os.environ, "KOPURO_AMQP_URI": amqp_uri}
        self._hub = Hub(directory, members=_boundless(network.load().organizations), environment=environment)
        self._audit: sqlite3.Connection | None = None

    def start(self) -> None:
        self._hub.start()

    def stop(self) -> None:
        if self._audit is not None:
            self._audit.close()
        self._hub.stop()

    def doors(self) -> Doors:
        return Doors(intake=self._door("intake"), delivery=self._door("delivery"))

    def token(self, organization: str) -> str:
        client = self._hub.files.people()["organizations"][organization]
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        door = self._door("directory")
        connection = http.client.HTTPConnection(door.host, door.port, timeout=30)
        connection.request(
            "POST",
            "/oauth/token",
            "grant_type=client_credentials",
            {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
        )
        token = json.loads(connection.getresponse().read())["access_token"]
        connection.close()
        return str(token)

    def custody_key(self) -> Mapping[str, str]:
        key: Mapping[str, str] = self._discovery()["custody_key"]
        return key

    def pids(self) -> Mapping[str, int]:
        assert self._hub.supervisor is not None
        return {status.name: status.pid for status in self._hub.supervisor.status() if status.pid}

    def databases(self) -> Mapping[str, Path]:
        return {service: self._hub.files.database(service) for service in SERVICES}

    def audited(self, fact_type: str) -> int:
        # Read from the file: each question over HTTP would itself become an entry.
        if self._audit is None:
            self._audit = sqlite3.connect(f"file:{self._hub.files.database('audit')}?mode=ro", uri=True)
        (count,) = self._audit.execute("SELECT count(*) FROM entries WHERE type = ?", (fact_type,)).fetchone()
        return int(count)

    def published(self) -> int:
        return sum(self._published(service) for service in SERVICES)

    def _published(self, service: str) -> int:
        connection = http.client.HTTPConnection(
            LOOPBACK, self._hub.files.ports(service).operations, timeout=10
        )
        connection.request("GET", "/metrics")
        found = _PUBLISHED.search(connection.getresponse().read().decode())
        connection.close()
        return int(float(found[1])) if found else 0

    def _door(self, service: str) -> Door:
        address = urlsplit(self._discovery()["services"][service])
        assert address.hostname
        assert address.port
        return Door(host=address.hostname, port=address.port)

    def _discovery(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self._hub.files.discovery.read_text(encoding="utf-8"))
        return document
