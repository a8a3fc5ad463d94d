"""The locations of the parts of a hub that a backup copies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from admin.embedded_broker import BrokerFiles, BrokerIdentity
from admin.environment_files import read_environments
from admin.hub_databases import ServiceDatabase, hub_databases
from contracts.topology import SERVICES
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url


@dataclass(frozen=True, kw_only=True, slots=True)
class HubPlaces:
    """The parts of one hub.

    databases: by service. vault_keys: the vault's own keys. log: the published log. log_key: the key that
    signs it. broker: the variables with which the queues can be counted.
    """

    hub: str
    databases: Mapping[str, ServiceDatabase]
    vault_keys: Path
    log: Path
    log_key: Path
    broker: Mapping[str, str] = field(repr=False)


def hub_places(env_dir: Path | None, data_dir: Path | None, environment: Mapping[str, str]) -> HubPlaces:
    """Return the places of a hub of processes (env_dir) or of an embedded hub (data_dir).

    The databases of an embedded hub need not exist yet. Raises InvalidArgumentError.
    """
    if (env_dir is None) == (data_dir is None):
        raise InvalidArgumentError("give --env or --data-dir")
    if env_dir is not None:
        return _of_environments(env_dir)
    assert data_dir is not None
    return _of_embedded(data_dir.resolve(), environment)


def _of_environments(env_dir: Path) -> HubPlaces:
    environments = read_environments(env_dir)

    def named(service: str, variable: str) -> Path:
        text = environments[service].get(variable, "").strip()
        if not text:
            raise InvalidArgumentError(f"{variable} is not set in {env_dir / f'{service}.env'}")
        return Path(text)

    return HubPlaces(
        hub=environments["audit"].get("KOPURO_HUB", ""),
        databases=hub_databases(env_dir, None, {}),
        vault_keys=named("vault", "KOPURO_VAULT_KEYS"),
        log=named("audit", "KOPURO_LOG_DIRECTORY"),
        log_key=named("audit", "KOPURO_LOG_SIGNING_KEY"),
        broker=environments["vault"],
    )


def _of_embedded(directory: Path, environment: Mapping[str, str]) -> HubPlaces:
    template = environment.get("KOPURO_DATABASE_TEMPLATE")
    try:
        hub = json.loads((directory / "hub.json").read_text(encoding="utf-8"))["hub"]
    except (OSError, ValueError, LookupError):
        raise InvalidArgumentError(f"{directory} is not the data directory of an embedded hub") from None
    if template:
        databases = hub_databases(None, None, environment)
    else:
        files = {service: directory / "data" / f"{service}.sqlite" for service in SERVICES}
        databases = {
            service: ServiceDatabase(service=service, url=sqlite_url(file)) for service, file in files.items()
        }
    return HubPlaces(
        hub=hub,
        databases=databases,
        vault_keys=directory / "keys" / "vault.sqlite",
        log=directory / "log",
        log_key=directory / "keys" / "log.json",
        broker=_embedded_broker(directory, environment),
    )


def _embedded_broker(directory: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    if environment.get("KOPURO_AMQP_URI"):
        return environment
    try:
        text = BrokerFiles(root=directory / "broker").identity.read_text(encoding="utf-8")
        return {"KOPURO_AMQP_URI": BrokerIdentity.from_json(text).uri()}
    except (OSError, ValueError):
        return {}
