"""A hub with a gateway, and organisations that are connected to it over AMQP."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from admin.embedded_broker import LOOPBACK
from contracts.broker_rights import PARTNERS_VHOST
from kopuro_client import Kopuro
from sandbox.hub import Hub
from sandbox.hub_files import HUB
from sandbox.ports import free_ports
from services.gateway.adapters.management_users import ManagementUsers
from services.gateway.domain.partner import client_of, hashed
from tests.journey.waiting import until
from tests.support.amqp_partner import AmqpPartner
from tests.support.certificates import Issued


def add_tls(data: Path, issued: Issued) -> tuple[int, int]:
    """Let the broker of a hub that has not started yet listen with TLS, for AMQP and its management API.

    Return both ports.
    """
    amqps, management = free_ports(2)
    settings = data / "broker" / "conf.d"
    for directory in (data, data / "broker", settings):
        directory.mkdir(mode=0o700)
    (settings / "10-tls.conf").write_text(
        f"listeners.ssl.1 = {LOOPBACK}:{amqps}\n"
        f"ssl_options.certfile = {issued.certificate}\n"
        f"ssl_options.keyfile = {issued.key}\n"
        f"management.ssl.ip = {LOOPBACK}\n"
        f"management.ssl.port = {management}\n"
        f"management.ssl.certfile = {issued.certificate}\n"
        f"management.ssl.keyfile = {issued.key}\n"
    )
    return amqps, management


class AmqpHub:
    """A running hub. passwords: by organisation."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        assert hub.broker is not None
        self.broker = hub.broker
        self.identity = hub.broker.identity
        self.users = ManagementUsers(self.identity.management_uri(HUB))
        self.passwords: dict[str, str] = {}

    def staff(self, name: str) -> Kopuro:
        """Return a client of a member of the staff."""
        person = self.hub.files.people()[name]
        return Kopuro.discover(
            self.hub.files.discovery_address(), person["client_id"], person["client_secret"]
        )

    def partner(self, organization: str) -> Kopuro:
        """Return the organisation's own client over HTTP."""
        person = self.hub.files.people()["organizations"][organization]
        return Kopuro.discover(
            self.hub.files.discovery_address(),
            person["client_id"],
            person["client_secret"],
            sealing_key=person["sealing_key"],
        )

    def url(self, organization: str, vhost: str = "partners") -> str:
        """Return the organisation's AMQP URL."""
        password = quote(self.passwords[organization], safe="")
        return f"amqp://{organization}:{password}@{LOOPBACK}:{self.identity.amqp_port}/{vhost}"

    def program(self, organization: str) -> AmqpPartner:
        """Return the organisation's connected program."""
        return AmqpPartner(organization, self.url(organization))

    def connect(self, organization: str, key: dict[str, Any]) -> None:
        """Connect an organisation as `kopuro organization connect --amqp` does; wait until it has access."""
        with self.staff("operator") as operator:
            operator.administration.issue_client(
                organization, "partner", client_id=client_of(organization), keys=[key]
            )
        self.passwords[organization] = secrets.token_urlsafe(16)
        self.users.put(organization, hashed(self.passwords[organization], secrets.token_bytes(4)))
        until(lambda: organization in self.granted() or None, f"access of {organization}")

    def connect_by_command(self, organization: str) -> dict[str, Any]:
        """Connect an organisation with `kopuro organization connect --amqp`; return what it prints."""
        files = self.hub.files
        done = subprocess.run(
            [
                sys.executable,
                *("-m", "kopuro_client", "organization", "connect", organization, "--amqp", "--json"),
                *("--data-dir", str(files.directory), "--as", "operator"),
                *("--credentials", str(files.credentials), "--discovery", files.discovery_address()),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shown: dict[str, Any] = json.loads(done.stdout)
        self.passwords[organization] = shown["password"]
        until(lambda: organization in self.granted() or None, f"access of {organization}")
        return shown

    def granted(self) -> set[str]:
        """Return the organisations with permissions at the broker."""
        found = httpx.get(f"{self.identity.management_uri(HUB)}/api/vhosts/{PARTNERS_VHOST}/permissions")
        return {entry["user"] for entry in found.raise_for_status().json()} & set(self.users.all())
