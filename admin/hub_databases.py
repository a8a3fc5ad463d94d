"""The databases of a hub's services, wherever they are: environment files, an embedded hub, or a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from admin.environment_files import read_environment, read_environments, read_resolved
from admin.reconciliation.reconcile import database_urls
from contracts.topology import SERVICES
from kopuro_client.errors import InvalidArgumentError
from runtime.tls import DATABASE, TlsFiles, UnusableTlsFiles, tls_files

# The code of a hub that `kopuro up` started.
EMBEDDED_HUB: Final = "kg"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceDatabase:
    """One service's database. The URL may contain a password."""

    service: str
    url: str = field(repr=False)
    tls: TlsFiles | None = None

    @property
    def package(self) -> str:
        """Return the package with the service's schema."""
        return f"services.{self.service}"


def hub_databases(
    env_dir: Path | None, data_dir: Path | None, environment: Mapping[str, str]
) -> dict[str, ServiceDatabase]:
    """Return the database of each service.

    env_dir: with `<service>.env` files; data_dir: of an embedded hub; neither: KOPURO_DATABASE_TEMPLATE in
    `environment`. Raises InvalidArgumentError when none or several of them name databases.
    """
    if env_dir is not None:
        if data_dir is not None:
            raise InvalidArgumentError("give --env or --data-dir, not both")
        return {
            service: service_database_in(service, variables)
            for service, variables in read_environments(env_dir).items()
        }
    if data_dir is None and not environment.get("KOPURO_DATABASE_TEMPLATE"):
        raise InvalidArgumentError(
            "give --env or --data-dir, or set KOPURO_DATABASE_TEMPLATE to a URL that contains {service}"
        )
    try:
        urls = database_urls(data_dir, environment)
    except ValueError as error:
        raise InvalidArgumentError(str(error)) from None
    tls = _tls(environment)
    return {service: ServiceDatabase(service=service, url=urls[service], tls=tls) for service in SERVICES}


def database_of(
    service: str, url: str | None, env_dir: Path | None, data_dir: Path | None, environment: Mapping[str, str]
) -> ServiceDatabase:
    """Return the database of one service, for a command that needs no other.

    url: of --database. Raises InvalidArgumentError when nothing, or several of the options, name one.
    """
    named = _named(service, url, env_dir, data_dir, environment)
    return hub_database(service, env_dir, data_dir, environment) if named is None else named


def hub_database(
    service: str, env_dir: Path | None, data_dir: Path | None, environment: Mapping[str, str]
) -> ServiceDatabase:
    """Return the database of one service, as `hub_databases` does.

    env_dir: may lack the files of services that run elsewhere.
    """
    if env_dir is not None and data_dir is None:
        return service_database_in(service, read_resolved(env_dir / f"{service}.env"))
    return hub_databases(env_dir, data_dir, environment)[service]


def _named(
    service: str, url: str | None, env_dir: Path | None, data_dir: Path | None, environment: Mapping[str, str]
) -> ServiceDatabase | None:
    """Return the database that --database names, or, without --env and --data-dir, KOPURO_DATABASE_URL.

    url: of --database. Raises InvalidArgumentError when it is combined with another option.
    """
    has_folder = env_dir is not None or data_dir is not None
    if url is not None and has_folder:
        raise InvalidArgumentError("give --database, --env or --data-dir, not several of them")
    if url is None and not has_folder:
        url = environment.get("KOPURO_DATABASE_URL", "").strip() or None
    return None if url is None else ServiceDatabase(service=service, url=url, tls=_tls(environment))


def hub_of(
    service: str,
    hub: str | None,
    env_dir: Path | None,
    data_dir: Path | None,
    environment: Mapping[str, str],
) -> str:
    """Return the hub's code: `hub`, of --hub, or else that of the hub which --env or --data-dir names.

    service: of which the environment file is read. Without these options KOPURO_HUB names the hub, or else it
    is `kg`, as an embedded hub always is.
    """
    if hub is not None:
        return hub
    if env_dir is not None:
        environment = read_environment(env_dir / f"{service}.env")
    elif data_dir is not None:
        return EMBEDDED_HUB
    return environment.get("KOPURO_HUB", "").strip() or EMBEDDED_HUB


def service_database_in(service: str, variables: Mapping[str, str]) -> ServiceDatabase:
    """Return the database that a service's variables name. Raises InvalidArgumentError."""
    url = variables.get("KOPURO_DATABASE_URL", "").strip()
    if not url:
        raise InvalidArgumentError(f"KOPURO_DATABASE_URL of {service} is not set")
    return ServiceDatabase(service=service, url=url, tls=_tls(variables))


def _tls(variables: Mapping[str, str]) -> TlsFiles | None:
    try:
        return tls_files(DATABASE, variables)
    except UnusableTlsFiles as error:
        raise InvalidArgumentError(str(error)) from None
