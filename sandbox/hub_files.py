"""The files in an embedded hub's data directory, created on the first start.

DIR/hub.json            ports of every service; a restart keeps them
DIR/credentials.json    client credentials of organisations and staff (0600)
DIR/discovery.json      served at /.well-known/kopuro
DIR/keys/               the root key, each service's keys (0600) and the signed manifest
DIR/keys/vault.sqlite   the vault's own keys, which its database needs; created by the vault
DIR/data/               one database per service    DIR/logs/    one log per process
DIR/log/                the published audit log: checkpoint and tiles
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
from admin.environment_files import EMBEDDED
from admin.keys import public_half, sealing_key, signing_key
from admin.manifest_files import HUB_KEY, MANIFEST, ROOT, service_key_name, write_first_manifest
from admin.manifest_files import SERVICES as SIGNERS
from admin.private_files import make_private, write_private
from contracts.organization import Organization
from contracts.records import plain
from kopuro_client.client_key import generate_client_key
from runtime.private_keys import private_keys
from sandbox.ports import KeptPorts, settled_ports

HUB = "kg"
# In the order of starting: services that others depend on come first.
SERVICES = ("directory", "vault", "routing", "delivery", "audit", "intake")
# The vault has no public API: other services reach it through the broker.
PUBLIC_SERVICES = ("intake", "directory", "routing", "delivery", "audit")

# Started on demand, after the services: the partners' access over AMQP. It has no database.
GATEWAY = "gateway"
_PROCESSES = (*SERVICES, GATEWAY)
_PORT_KINDS = ("http", "operations")

SECOND_OPERATOR = "second-operator"
# Keyed by client: the role. Two operators, because one person may not decide alone where two are needed.
_STAFF = {
    "coordinator": "coordinator",
    "auditor": "auditor",
    "operator": "operator",
    SECOND_OPERATOR: "operator",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePorts:
    """The loopback ports of one service: http for partners, operations for operators."""

    http: int
    operations: int


class HubFiles:
    """The files of one data directory. Only `settle` creates them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.credentials = self.directory / "credentials.json"
        self.discovery = self.directory / "discovery.json"
        self.organizations = self.directory / "organizations.json"
        self.clients = self.directory / "clients.json"
        self.loaded = self.directory / "loaded"
        self.published_log = self.directory / "log"
        self.manifest = self.directory / "keys" / MANIFEST
        self.environments = self.directory / EMBEDDED
        self.hub_key = self.directory / "keys" / HUB_KEY
        self.vault_keys = self.directory / "keys" / "vault.sqlite"
        self.webhook_key = self.directory / "keys" / "webhooks.key"
        self._hub = self.directory / "hub.json"
        self._kept_ports = KeptPorts()

    def settle(self, organizations: Iterable[Organization]) -> None:
        """Create the missing files. Repeatable after an interruption: each file is complete or absent."""
        for folder in (self.directory, *(self.directory / name for name in ("keys", "data", "logs"))):
            make_private(folder)
        signing = (ROOT, "token", "log", *map(service_key_name, SIGNERS))
        for name, make in (("custody", sealing_key), *((name, signing_key) for name in signing)):
            if not self.key(name).exists():
                write_private(self.key(name), json.dumps(make()))
        if not self.key(GATEWAY).exists():
            private, _ = generate_client_key("gateway-1")
            write_private(self.key(GATEWAY), json.dumps(private))
        if not self.manifest.exists():
            write_first_manifest(self.manifest.parent, HUB)
        if not self.credentials.exists():
            self._make_credentials(list(organizations))
        self._settle_ports()

    def key(self, name: str) -> Path:
        """Return the path of a private key's file, for example of `custody` or `service-intake`."""
        return self.directory / "keys" / f"{name}.json"

    def database(self, service: str) -> Path:
        """Return the path of a service's SQLite file."""
        return self.directory / "data" / f"{service}.sqlite"

    def log(self, process: str) -> Path:
        """Return the path of a process's log."""
        return self.directory / "logs" / f"{process}.log"

    def ports(self, service: str) -> ServicePorts:
        """Return a service's ports."""
        ports = json.loads(self._hub.read_text(encoding="utf-8"))["ports"][service]
        return ServicePorts(http=ports["http"], operations=ports["operations"])

    def reserved_ports(self) -> frozenset[int]:
        """Return the ports of every service, also of those that do not run."""
        ports = map(self.ports, _PROCESSES)
        return frozenset(port for service in ports for port in (service.http, service.operations))

    def discovery_address(self) -> str:
        """Return the URL of the discovery document."""
        return f"{self._address('intake')}/.well-known/kopuro"

    def people(self) -> Mapping[str, Any]:
        """Return the content of `credentials.json`."""
        people: Mapping[str, Any] = json.loads(self.credentials.read_text(encoding="utf-8"))
        return people

    def _settle_ports(self) -> None:
        # A port that is taken now is replaced: clients look up addresses in the discovery document.
        known = json.loads(self._hub.read_text(encoding="utf-8"))["ports"] if self._hub.exists() else {}
        self._kept_ports.release()
        settled = iter(
            settled_ports(
                [known.get(service, {}).get(kind) for service in _PROCESSES for kind in _PORT_KINDS]
            )
        )
        ports = {service: {kind: next(settled) for kind in _PORT_KINDS} for service in _PROCESSES}
        for port in (port for kinds in ports.values() for port in kinds.values()):
            self._kept_ports.keep(port)  # the services start some time after the choice
        write_private(self._hub, json.dumps({"hub": HUB, "ports": ports}, indent=1))
        custody = public_half(private_keys(self.key("custody"))[0])
        # The earlier keys that a rotation of the custody key announced stay.
        announced = json.loads(self.discovery.read_text(encoding="utf-8")) if self.discovery.exists() else {}
        document = {
            "hub": HUB,
            "version": "1",
            "services": {service: self._address(service) for service in PUBLIC_SERVICES},
            "custody_key": custody,
            "sandbox": True,
            **{name: announced[name] for name in ("earlier_custody_keys",) if name in announced},
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
        write_private(self.organizations, _lines(records))
        write_private(self.clients, _lines(clients))
        # Written last: while it is missing, `settle` creates all of these again.
        write_private(self.credentials, json.dumps({"organizations": members, **staff}, indent=1))

    def _address(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self.ports(service).http}"


def _lines(records: list[dict[str, Any]]) -> str:
    """Return a JSON array with a record on each line. `json` takes ten times as long with indentation."""
    return "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n]"


def _client(client_id: str, secret: str, principal: str, role: str) -> dict[str, Any]:
    return {"client_id": client_id, "client_secret": secret, "principal": principal, "roles": [role]}
