"""The files of a new hub of processes, beside its keys: discovery, environments, broker, database, operators.

    discovery.json           for every service (KOPURO_DISCOVERY)
    webhook.key              delivery seals the secrets of webhooks with it (KOPURO_WEBHOOK_KEY)
    env/<service>.env        the variables of each service, with passwords; env/operations.env for operators
    broker/                  definitions.json and the passwords of the broker's users
    databases/               roles.sql and the passwords of the roles, with PostgreSQL
    operators/<name>.env     the client id and secret of each first operator, for that person alone
    operators.json           the same clients for `kopuro admin load`; delete it afterwards
    state/                   the vault's own keys and the published log, made by these services

Files are private (0600), except what every service's account reads: discovery.json, manifest.jws and
hub.public.json (0644). A file that exists is kept, so a repeated run completes an interrupted one and
overwrites no edited file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from sqlalchemy.engine import make_url

from admin.broker_definitions import write_definitions
from admin.database_roles import script
from admin.environment_files import environment_text, read_environment
from admin.key_files import key_files_in
from admin.manifest_files import HUB_KEY, MANIFEST, current_key_file
from admin.private_files import make_private, write_private, write_public
from contracts.broker_rights import WATCH, user_name
from contracts.topology import OPERATIONS, SERVICES
from kopuro_client.commands.new_file import write_new
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database_url import UnusableDatabaseUrl, parsed_database_url

ENVIRONMENTS: Final = "env"
DISCOVERY: Final = "discovery.json"
OPERATORS: Final = "operators.json"
WEBHOOK_KEY: Final = "webhook.key"
PUBLIC_SERVICES: Final = tuple(service for service in SERVICES if service != "vault")
_WEBHOOK_KEY_BYTES: Final = 32  # services/delivery/webhooks/adapters/key_file_seal.py
# A proxy on the same machine is the only client of a service that listens on loopback: it bounds the
# connections of each partner itself (deploy/nginx).
_PROXY_CONNECTIONS: Final = "10000"
_PROXY: Final = "127.0.0.1/32"
# The configurations in deploy/nginx and deploy/prometheus expect the ports in this order.
_PORT_ORDER: Final = ("intake", "directory", "routing", "delivery", "vault", "audit")
_FIRST_HTTP_PORT: Final = 8001
_FIRST_OPERATIONS_PORT: Final = 9101
_OPERATOR: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The content of a hub's files. Raises InvalidArgumentError for a part that cannot be right.

    broker: an AMQP URI without user. database: an SQLAlchemy URL with `{service}`, without user: the role has
    the database's name. url: one address for the public services, or with `{service}` one for each.
    operators: the first operators' names. management: the broker's management API without a user, None: not
    used. state: where vault and audit have a directory each; None: state/ beside the keys.
    """

    hub: str
    broker: str
    database: str
    url: str
    operators: Sequence[str] = ()
    broker_ca: Path | None = None
    database_ca: Path | None = None
    management: str | None = None
    state: Path | None = None

    def __post_init__(self) -> None:
        broker = urlsplit(self.broker)
        if broker.scheme not in ("amqp", "amqps") or not broker.hostname or "@" in broker.netloc:
            raise InvalidArgumentError("--broker must be an amqp:// or amqps:// address without a user")
        if self.broker_ca is not None and broker.scheme != "amqps":
            raise InvalidArgumentError("--broker-ca requires an amqps:// address")
        if self.management is not None:
            management = urlsplit(self.management)
            if management.scheme not in ("http", "https") or not management.hostname or management.username:
                raise InvalidArgumentError(
                    "--management must be an http:// or https:// address without a user"
                )
        if self.state is not None and not self.state.is_absolute():
            raise InvalidArgumentError("--state must be an absolute path")
        try:
            database = parsed_database_url(self.database.replace("{service}", "intake"))
        except UnusableDatabaseUrl as error:
            raise InvalidArgumentError(f"--database {error}") from None
        if "{service}" not in self.database:
            raise InvalidArgumentError("--database must be a URL that contains {service}")
        if database.username or database.password:
            raise InvalidArgumentError("--database must not name a user: init creates one for each service")
        if self.database_ca is not None and not self.uses_postgresql:
            raise InvalidArgumentError("--database-ca requires a PostgreSQL URL")
        url = urlsplit(self.url.replace("{service}", "intake"))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidArgumentError("--url must be an http:// or https:// address")
        for name in self.operators:
            if _OPERATOR.fullmatch(name) is None or name.startswith(f"{self.hub}."):
                raise InvalidArgumentError(
                    f"{name!r} is not an operator's name: use lower-case letters and digits, "
                    f"without `{self.hub}.`"
                )
        for file in (self.broker_ca, self.database_ca):
            if file is not None and not file.is_file():
                raise InvalidArgumentError(f"{file} is not a file")

    @property
    def uses_postgresql(self) -> bool:
        return self.database.startswith("postgresql")

    @property
    def vhost(self) -> str:
        """Return the virtual host that the broker's address names."""
        return urlsplit(self.broker).path.removeprefix("/") or "/"

    def amqp_uri(self, user: str, password: str) -> str:
        """Return the broker's address with a user."""
        return _with_user(self.broker, user, password)

    def management_uri(self, password: str) -> str | None:
        """Return the management API's address with the user that reads it, if the API is used."""
        if self.management is None:
            return None
        return _with_user(self.management, user_name(self.hub, WATCH), password)

    def database_url(self, service: str, password: str | None) -> str:
        """Return a service's database with its role, which has the database's name; SQLite has neither."""
        url = make_url(self.database.replace("{service}", service))
        if password is not None:
            url = url.set(username=url.database, password=password)
        return url.render_as_string(hide_password=False)

    def role(self, service: str) -> str:
        """Return the name of a service's role and database."""
        return str(make_url(self.database.replace("{service}", service)).database)


def _with_user(uri: str, user: str, password: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{parts.netloc}"))


@dataclass(kw_only=True)
class WrittenHub:
    """The files that a run wrote and kept. different: variables in which a kept one differs from the plan."""

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    different: dict[Path, list[str]] = field(default_factory=dict)

    def put(
        self, file: Path, text: Callable[[], str], write: Callable[[Path, str], None] = write_private
    ) -> None:
        """Write a file, private by default, unless it exists."""
        if os.path.lexists(file):
            self.kept.append(file)
        else:
            write(file, text())
            self.written.append(file)


def write_hub_files(directory: Path, plan: Plan) -> WrittenHub:
    """Write the files beside the keys in `directory`. Raises InvalidArgumentError and OSError."""
    directory = directory.resolve()
    outcome = WrittenHub()
    for name in (ENVIRONMENTS, "broker", "databases", "operators"):
        make_private(directory / name)
    if plan.state is None:
        for name in ("state", "state/vault", "state/audit"):
            make_private(directory / name)
    _write_discovery(directory, plan, outcome)
    _write_webhook_key(directory / WEBHOOK_KEY, outcome)
    broker_passwords = _broker_passwords(directory / "broker", plan, outcome)
    database_passwords = _database_passwords(directory / "databases", plan, outcome)
    management = plan.management_uri(broker_passwords[WATCH])
    for number, service in enumerate(_PORT_ORDER):
        variables = _environment(directory, plan, service, number)
        variables["KOPURO_AMQP_URI"] = plan.amqp_uri(user_name(plan.hub, service), broker_passwords[service])
        variables["KOPURO_DATABASE_URL"] = plan.database_url(service, database_passwords.get(service))
        if management is not None:
            variables["KOPURO_BROKER_MANAGEMENT_URI"] = management
        _put_environment(directory / ENVIRONMENTS / f"{service}.env", variables, outcome)
    operations = {
        "KOPURO_AMQP_URI": plan.amqp_uri(user_name(plan.hub, OPERATIONS), broker_passwords[OPERATIONS]),
        "KOPURO_SERVICE_KEY": str(current_key_file(directory, OPERATIONS)),
        **_tls(plan),
    }
    _put_environment(directory / ENVIRONMENTS / f"{OPERATIONS}.env", operations, outcome)
    _write_operators(directory, plan, outcome)
    return outcome


def _write_discovery(directory: Path, plan: Plan, outcome: WrittenHub) -> None:
    custody = next(key for key in key_files_in(directory) if key.service == "vault" and key.is_custody)
    document = {
        "hub": plan.hub,
        "version": "1",
        "services": {service: plan.url.replace("{service}", service) for service in PUBLIC_SERVICES},
        "custody_key": dict(custody.public),
    }
    outcome.put(directory / DISCOVERY, lambda: json.dumps(document, indent=2) + "\n", write_public)


def _write_webhook_key(file: Path, outcome: WrittenHub) -> None:
    # Delivery could make it, but its user may not be able to write here.
    if os.path.lexists(file):
        outcome.kept.append(file)
    else:
        write_new(file, secrets.token_bytes(_WEBHOOK_KEY_BYTES))
        outcome.written.append(file)


def _broker_passwords(directory: Path, plan: Plan, outcome: WrittenHub) -> dict[str, str]:
    before = set(directory.iterdir())
    files = write_definitions(directory, hub=plan.hub, vhost=plan.vhost)
    for file in (*files.values(), directory / "definitions.json"):
        (outcome.kept if file in before else outcome.written).append(file)
    return {user: file.read_text(encoding="utf-8").strip() for user, file in files.items()}


def _database_passwords(directory: Path, plan: Plan, outcome: WrittenHub) -> dict[str, str]:
    if not plan.uses_postgresql:
        return {}
    passwords = {}
    for service in SERVICES:
        file = directory / f"{service}.password"
        outcome.put(file, lambda: secrets.token_urlsafe(24))
        passwords[service] = file.read_text(encoding="utf-8").strip()
    by_role = {plan.role(service): password for service, password in passwords.items()}
    outcome.put(directory / "roles.sql", lambda: script(by_role))
    return passwords


def _environment(directory: Path, plan: Plan, service: str, number: int) -> dict[str, str]:
    variables = {
        "KOPURO_AMQP_URI": "",
        "KOPURO_DATABASE_URL": "",
        "KOPURO_HTTP_ADDRESS": f"127.0.0.1:{_FIRST_HTTP_PORT + number}",
        "KOPURO_OPERATIONS_ADDRESS": f"127.0.0.1:{_FIRST_OPERATIONS_PORT + number}",
        "KOPURO_CONNECTIONS_PER_ADDRESS": _PROXY_CONNECTIONS,
        "KOPURO_HUB": plan.hub,
        "KOPURO_DISCOVERY": str(directory / DISCOVERY),
        "KOPURO_SERVICE_KEY": str(current_key_file(directory, service)),
        "KOPURO_MANIFEST": str(directory / MANIFEST),
        "KOPURO_HUB_KEY": str(directory / HUB_KEY),
        **_tls(plan),
    }
    for key in key_files_in(directory):
        if key.service == service and key.variable not in (None, "KOPURO_SERVICE_KEY"):
            variables[str(key.variable)] = str(key.path)
    state = plan.state or directory / "state"
    match service:
        case "directory":
            variables["KOPURO_PROXIES"] = _PROXY
        case "vault":
            variables["KOPURO_VAULT_KEYS"] = str(state / "vault" / "keys.sqlite")
        case "delivery":
            variables["KOPURO_WEBHOOK_KEY"] = str(directory / WEBHOOK_KEY)
        case "audit":
            variables["KOPURO_LOG_DIRECTORY"] = str(state / "audit" / "log")
    return variables


def _tls(plan: Plan) -> Mapping[str, str]:
    files = (("KOPURO_BROKER_CA", plan.broker_ca), ("KOPURO_DATABASE_CA", plan.database_ca))
    return {name: str(file.resolve()) for name, file in files if file is not None}


def _put_environment(file: Path, variables: Mapping[str, str], outcome: WrittenHub) -> None:
    outcome.put(file, lambda: environment_text(variables))
    present = read_environment(file)
    if different := sorted(name for name, value in variables.items() if present.get(name) != value):
        outcome.different[file] = different


def _write_operators(directory: Path, plan: Plan, outcome: WrittenHub) -> None:
    clients = []
    for name in plan.operators:
        file = directory / "operators" / f"{name}.env"
        new = {"KOPURO_CLIENT_ID": name, "KOPURO_CLIENT_SECRET": secrets.token_urlsafe(32)}
        outcome.put(file, lambda: environment_text(new))  # noqa: B023 - called at once
        secret = read_environment(file)["KOPURO_CLIENT_SECRET"]
        principal = f"{plan.hub}.{name}"
        clients.append(
            {"client_id": name, "client_secret": secret, "principal": principal, "roles": ["operator"]}
        )
    if clients:
        outcome.put(directory / OPERATORS, lambda: json.dumps(clients, indent=1) + "\n")
