"""What a hub keeps in its data directory, and makes on the first start: ports, keys, credentials.

DIR/hub.json            ports of every service: the same after a restart
DIR/credentials.json    who may come in (0600)
DIR/discovery.json      served at /.well-known/kopuro
DIR/keys/               custody, token and log signing keys (0600), each read by one service only
DIR/data/               a database a service        DIR/logs/    a log a process
DIR/log/                the audit log as it is published: checkpoint and tiles
DIR/broker/             the private broker
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admin.embedded_broker import LOOPBACK
from admin.keys import public_half, sealing_key, signing_key
from admin.private_files import make_private, write_private
from contracts.organization import Organization
from contracts.records import plain
from sandbox.ports import free_ports, is_free

HUB = "kg"
# In the order of starting: who others wait for comes first.
SERVICES = ("directory", "vault", "routing", "delivery", "audit", "intake")
# The vault has no door: only other services reach it, through the broker.
DOORS = ("intake", "directory", "routing", "delivery", "audit")

_STAFF = {"coordinator": "coordinator", "auditor": "auditor", "operator": "operator"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePorts:
    """Loopback ports of one service: for partners, and for operators."""

    http: int
    operations: int


class HubFiles:
    """The files of one data directory. Nothing is made before `settle`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.credentials = self.directory / "credentials.json"
        self.discovery = self.directory / "discovery.json"
        self.organizations = self.directory / "organizations.json"
        self.clients = self.directory / "clients.json"
        self.loaded = self.directory / "loaded"
        self.published_log = self.directory / "log"
        self._hub = self.directory / "hub.json"

    def settle(self, organizations: Iterable[Organization]) -> None:
        """Makes what is not there yet. Repeatable after an interruption: each file is whole or absent."""
        for folder in (self.directory, *(self.directory / name for name in ("keys", "data", "logs"))):
            make_private(folder)
        for name, make in (("custody", sealing_key), ("token", signing_key), ("log", signing_key)):
            if not self.key(name).exists():
                write_private(self.key(name), json.dumps(make()))
        if not self.credentials.exists():
            self._make_credentials(list(organizations))
        self._settle_ports()

    def key(self, name: str) -> Path:
        """The file of a key: custody, token or log."""
        return self.directory / "keys" / f"{name}.json"

    def database(self, service: str) -> Path:
        """A service's SQLite file."""
        return self.directory / "data" / f"{service}.sqlite"

    def log(self, process: str) -> Path:
        """A process's log."""
        return self.directory / "logs" / f"{process}.log"

    def ports(self, service: str) -> ServicePorts:
        """A service's ports."""
        ports = json.loads(self._hub.read_text(encoding="utf-8"))["ports"][service]
        return ServicePorts(http=ports["http"], operations=ports["operations"])

    def discovery_address(self) -> str:
        """Where a client begins."""
        return f"{self._address('intake')}/.well-known/kopuro"

    def people(self) -> Mapping[str, Any]:
        """What `credentials.json` says."""
        people: Mapping[str, Any] = json.loads(self.credentials.read_text(encoding="utf-8"))
        return people

    def _settle_ports(self) -> None:
        # A port that somebody else has taken meanwhile is replaced: clients ask discovery, not memory.
        known = json.loads(self._hub.read_text(encoding="utf-8"))["ports"] if self._hub.exists() else {}
        ports = {
            service: {
                kind: old if (old := known.get(service, {}).get(kind)) and is_free(old) else free_ports(1)[0]
                for kind in ("http", "operations")
            }
            for service in SERVICES
        }
        write_private(self._hub, json.dumps({"hub": HUB, "ports": ports}, indent=1))
        custody = public_half(json.loads(self.key("custody").read_text(encoding="utf-8")))
        document = {
            "hub": HUB,
            "version": "1",
            "services": {service: self._address(service) for service in DOORS},
            "custody_key": custody,
        }
        write_private(self.discovery, json.dumps(document, indent=1))

    def _make_credentials(self, organizations: list[Organization]) -> None:
        clients, members, records = [], {}, []
        for organization in organizations:
            secret, key = secrets.token_urlsafe(32), sealing_key()
            clients.append(_client(organization.id, secret, organization.id, "partner"))
            members[organization.id] = {
                "client_id": organization.id,
                "client_secret": secret,
                "sealing_key": key,
            }
            records.append({**plain(organization), "sealing_key": public_half(key)})
        staff = {}
        for name, role in _STAFF.items():
            secret = secrets.token_urlsafe(32)
            clients.append(_client(name, secret, f"{HUB}.{name}", role))
            staff[name] = {"client_id": name, "client_secret": secret}
        write_private(self.organizations, json.dumps(records, ensure_ascii=False, indent=1))
        write_private(self.clients, json.dumps(clients, indent=1))
        # Last: while it is missing, all of this is made again.
        write_private(self.credentials, json.dumps({"organizations": members, **staff}, indent=1))

    def _address(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self.ports(service).http}"


def _client(client_id: str, secret: str, principal: str, role: str) -> dict[str, Any]:
    return {"client_id": client_id, "client_secret": secret, "principal": principal, "roles": [role]}
