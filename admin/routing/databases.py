"""The databases that an operator's command about routing reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from admin.hub_databases import ServiceDatabase, hub_databases
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url

_SERVICES = ("routing", "directory")


def decision_databases(env_dir: Path | None, data_dir: Path | None) -> Mapping[str, ServiceDatabase]:
    """Return routing's and the directory's database.

    env_dir: with the services' environment files; data_dir: of an embedded hub, or with copies of these two
    databases; neither: KOPURO_DATABASE_TEMPLATE names them. Raises InvalidArgumentError.
    """
    if env_dir is not None or data_dir is None:
        found = hub_databases(env_dir, data_dir, os.environ)
        return {service: found[service] for service in _SERVICES}
    if os.environ.get("KOPURO_DATABASE_TEMPLATE"):
        raise InvalidArgumentError(
            "KOPURO_DATABASE_TEMPLATE names other databases: unset it, or omit --data-dir"
        )
    files = {service: data_dir.resolve() / "data" / f"{service}.sqlite" for service in _SERVICES}
    if missing := [service for service, file in files.items() if not file.is_file()]:
        raise InvalidArgumentError(f"{data_dir} has no database of {', '.join(missing)}")
    return {
        service: ServiceDatabase(service=service, url=sqlite_url(file)) for service, file in files.items()
    }
