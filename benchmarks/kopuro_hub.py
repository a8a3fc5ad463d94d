"""A Kopuro hub as `kopuro up` runs it, on a given broker."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Engine, func, select

from admin.embedded_broker import LOOPBACK
from admin.read_only_engine import open_read_only
from benchmarks.keepalive import Endpoint
from benchmarks.systems import Doors
from contracts.organization import Organization
from sandbox import network
from sandbox.hub import READY_WITHIN_SECONDS, Hub
from sandbox.hub_files import SERVICES, HubFiles
from services.audit.adapters.tables import ENTRIES

# The few organisations of the benchmarks send what a whole network does.
RAISED_LIMITS: Final = dict.fromkeys(
    ("KOPURO_REQUESTS_PER_MINUTE", "KOPURO_SUBMISSIONS_PER_MINUTE", "KOPURO_SUBMISSIONS_BURST"), "999999"
)
_PUBLISHED = re.compile(r"^kopuro_messages_published_total (\S+)$", re.MULTILINE)
_WAITING = re.compile(r"^kopuro_outbox_messages (\S+)$", re.MULTILINE)


def boundless(organizations: Iterable[Organization]) -> list[Organization]:
    """Return the organisations with unlimited capacity; otherwise the load would end unplaced."""
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


class KopuroHub:
    """See `systems.System`."""

    name = "kopuro"
    work_begins_with = "kopuro.case.released.v1"

    def __init__(
        self,
        directory: Path,
        amqp_uri: str | None,
        *,
        raised_limits: bool = True,
        database_template: str | None = None,
        server_pid: int | None = None,
        ready_within: float = READY_WITHIN_SECONDS,
    ) -> None:
        """amqp_uri: None for a broker of the hub's own, with a gateway for partners.

        raised_limits: whether an organisation may send and submit without a limit; else as shipped.
        database_template: a URL of existing databases with `{service}` in it; by default SQLite.

        server_pid: of their database server, whose CPU time counts towards a loop's.
        """
        environment = {**os.environ, **(RAISED_LIMITS if raised_limits else {})}
        for name in ("KOPURO_AMQP_URI", "KOPURO_DATABASE_TEMPLATE"):
            environment.pop(name, None)
        if amqp_uri is not None:
            environment["KOPURO_AMQP_URI"] = amqp_uri
        self.amqp_uri = amqp_uri or ""
        if database_template is not None:
            environment["KOPURO_DATABASE_TEMPLATE"] = database_template
        self._template = database_template
        self._server_pid = server_pid
        self._hub = Hub(
            directory,
            members=boundless(network.load().organizations),
            environment=environment,
            ready_within=ready_within,
            amqp=amqp_uri is None,
        )
        self._audit: Engine | None = None
        # Number of entries and last counted index by type, so that a long log is counted only once.
        self._counted: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        self._hub.start()

    def stop(self) -> None:
        if self._audit is not None:
            self._audit.dispose()
            self._audit = None
        self._hub.stop()

    def doors(self) -> Doors:
        return Doors(intake=self.door("intake"), delivery=self.door("delivery"))

    def token(self, organization: str) -> str:
        people = self._hub.files.people()
        # Staff are listed beside the organisations by role: auditor, coordinator, operator.
        client = people["organizations"].get(organization) or people[organization]
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        door = self.door("directory")
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
        pids = {status.name: status.pid for status in self._hub.supervisor.status() if status.pid}
        return pids if self._server_pid is None else {**pids, "postgresql": self._server_pid}

    def databases(self) -> Mapping[str, Path]:
        if self._template is not None:
            return {}
        return {service: self._hub.files.database(service) for service in SERVICES}

    def database_url(self, service: str) -> str:
        """Return the URL of a service's database."""
        if self._template is not None:
            return self._template.format(service=service)
        return f"sqlite:///{self._hub.files.database(service)}"

    @property
    def hub(self) -> Hub:
        """Return the running hub."""
        return self._hub

    @property
    def files(self) -> HubFiles:
        """Return the files of the hub."""
        return self._hub.files

    def audited(self, fact_type: str) -> int:
        # Read from the database: each HTTP request would itself become an entry.
        if self._audit is None:
            self._audit = open_read_only(self.database_url("audit"))
        count, upto = self._counted.get(fact_type, (0, -1))
        new = select(func.count(), func.max(ENTRIES.c.leaf_index)).where(
            ENTRIES.c.type == fact_type, ENTRIES.c.leaf_index > upto
        )
        with self._audit.connect() as connection:
            more, last = connection.execute(new).one()
        self._counted[fact_type] = (count + more, upto if last is None else last)
        return int(count + more)

    def published(self) -> int:
        return sum(self._figure(service, _PUBLISHED) for service in SERVICES)

    def waiting(self) -> int:
        """Return the number of messages in all outboxes, at most a second old."""
        return sum(self._figure(service, _WAITING) for service in SERVICES)

    def _figure(self, service: str, figure: re.Pattern[str]) -> int:
        connection = http.client.HTTPConnection(
            LOOPBACK, self._hub.files.ports(service).operations, timeout=10
        )
        connection.request("GET", "/metrics")
        found = figure.search(connection.getresponse().read().decode())
        connection.close()
        return int(float(found[1])) if found else 0

    def door(self, service: str) -> Endpoint:
        """Return the address of a service for partners."""
        address = urlsplit(self._discovery()["services"][service])
        assert address.hostname
        assert address.port
        return Endpoint(host=address.hostname, port=address.port)

    def _discovery(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self._hub.files.discovery.read_text(encoding="utf-8"))
        return document
