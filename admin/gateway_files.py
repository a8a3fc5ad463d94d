"""The files of a gateway: its key, its settings, and the definitions of the partners' broker.

    gateway.json              the gateway's private key (KOPURO_GATEWAY_KEY)
    gateway.env               the variables of its process, with a password
    partners-definitions.json virtual host, user and limits, for `rabbitmqctl import_definitions`

A file that exists is kept.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from admin.broker_definitions import EVERYTHING, new_password, password_hash
from admin.environment_files import environment_text, read_environment
from admin.private_files import make_private, write_private
from contracts.broker_rights import GATEWAY, PARTNERS_VHOST, user_name
from kopuro_client.client_key import generate_client_key
from kopuro_client.errors import InvalidArgumentError

KEY: Final = "gateway.json"
ENVIRONMENT: Final = "gateway.env"
DEFINITIONS: Final = "partners-definitions.json"
MOST_CONNECTIONS: Final = 1000  # connections of all partners together
_HTTP_ADDRESS: Final = "127.0.0.1:8010"
_OPERATIONS_ADDRESS: Final = "127.0.0.1:9110"


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayPlan:
    """broker: the partners' broker, `amqps://host:5671`. management: its API. discovery: the hub's document.
    broker_ca: the CA of both, in PEM; None: one of the system's.

    Raises InvalidArgumentError for an address that cannot be right.
    """

    hub: str
    broker: str
    management: str
    discovery: Path
    broker_ca: Path | None = None

    def __post_init__(self) -> None:
        if re.fullmatch("[a-z]{2}", self.hub) is None:
            raise InvalidArgumentError("--hub must be a country code of two lower-case letters")
        for option, uri, schemes in (
            ("--broker", self.broker, ("amqp", "amqps")),
            ("--management", self.management, ("http", "https")),
        ):
            parts = urlsplit(uri)
            if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc:
                raise InvalidArgumentError(
                    f"{option} must be an {schemes[0]}:// or {schemes[1]}:// address without a user"
                )
        if self.broker_ca is not None and not self.broker.startswith("amqps:"):
            raise InvalidArgumentError("--broker-ca requires an amqps:// address")


def write_gateway_files(directory: Path, plan: GatewayPlan, *, env_dir: Path | None = None) -> list[Path]:
    """Write the files that are missing, each with mode 0600, and return them. Raises OSError.

    env_dir: where the services' environment files are, and gateway.env belongs; None: in the directory.
    """
    directory = directory.resolve()
    make_private(directory)
    key, definitions = directory / KEY, directory / DEFINITIONS
    environment = (directory if env_dir is None else env_dir.resolve()) / ENVIRONMENT
    written = []
    if not os.path.lexists(key):
        private, _ = generate_client_key("gateway-1")
        write_private(key, json.dumps(private) + "\n")
        written.append(key)
    if not os.path.lexists(environment):
        write_private(environment, environment_text(_variables(plan, key, new_password())))
        written.append(environment)
    if not os.path.lexists(definitions):
        password = urlsplit(read_environment(environment)["KOPURO_AMQP_URI"]).password or ""
        write_private(definitions, json.dumps(partners_definitions(plan.hub, password), indent=1) + "\n")
        written.append(definitions)
    return written


def partners_definitions(hub: str, password: str) -> dict[str, Any]:
    """Return the definitions of the partners' broker. They contain the hash of the gateway's password."""
    gateway = user_name(hub, GATEWAY)
    return {
        "vhosts": [{"name": PARTNERS_VHOST}],
        "users": [
            {
                "name": gateway,
                "password_hash": password_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "administrator",
            }
        ],
        "permissions": [
            {
                "user": gateway,
                "vhost": PARTNERS_VHOST,
                "configure": EVERYTHING.configure,
                "write": EVERYTHING.write,
                "read": EVERYTHING.read,
            }
        ],
        "parameters": [
            {
                "vhost": PARTNERS_VHOST,
                "component": "vhost-limits",
                "name": "limits",
                "value": {"max-connections": MOST_CONNECTIONS},
            }
        ],
    }


def _variables(plan: GatewayPlan, key: Path, password: str) -> dict[str, str]:
    user = user_name(plan.hub, GATEWAY)

    def having_user(uri: str, path: str) -> str:
        parts = urlsplit(uri)
        netloc = f"{user}:{quote(password, safe='')}@{parts.netloc}"
        return urlunsplit(parts._replace(netloc=netloc, path=path))

    variables = {
        "KOPURO_AMQP_URI": having_user(plan.broker, f"/{PARTNERS_VHOST}"),
        "KOPURO_BROKER_MANAGEMENT_URI": having_user(plan.management, urlsplit(plan.management).path),
        "KOPURO_GATEWAY_KEY": str(key),
        "KOPURO_HUB": plan.hub,
        "KOPURO_DISCOVERY": str(plan.discovery),
        "KOPURO_HTTP_ADDRESS": _HTTP_ADDRESS,
        "KOPURO_OPERATIONS_ADDRESS": _OPERATIONS_ADDRESS,
    }
    if plan.broker_ca is not None:
        variables["KOPURO_BROKER_CA"] = str(plan.broker_ca)
    return variables
