"""Replacement of the keys of a hub of processes: the token key and the custody key.

Each rotation writes a new key file beside the earlier one (`token-2.json`), with the same owner, and names
it in the environment file of its service. The earlier file stays: a service that is not restarted yet still
reads it. Files that are changed keep their modes and owners, so that the services can still read them.

A repeated run after an interruption continues with the file that no environment names yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import ArgumentError

from admin.broker_queues import queue_counts
from admin.environment_files import environment_text, read_environment
from admin.hub_databases import ServiceDatabase, service_database_in
from admin.keys import public_half, sealing_key, signing_key
from admin.private_files import give_to_owner_of, replace_content
from contracts.topology import dead_letter_queue_name
from kopuro_client.commands.new_file import write_new
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import Database, DatabaseUnavailable
from services.intake.adapters.tables import METADATA as INTAKE_TABLES
from services.vault.adapters.tables import METADATA as VAULT_TABLES

LOG_KEY_IS_FOR_LIFE: Final = (
    "the log's key is part of the log's identity: auditors and witnesses pin it, and audit refuses a log "
    "that another key signed. If it was stolen, stop audit, tell the auditors, and begin a new log with an "
    "empty audit database and another KOPURO_LOG_DIRECTORY; keep the old log readable"
)
# Tables that must be empty before the custody key changes, by service: they hold what is sealed to it.
_SEALED: Final[Mapping[str, tuple[str, ...]]] = {
    "intake": ("outbox", "retries"),
    "vault": ("sealed_cases", "held_notes", "retries"),
}
_QUEUES: Final = ("vault.sealed", dead_letter_queue_name("vault.sealed"))


class RotationRefused(Exception):
    """Raised when a rotation would lose something; the text says what to do first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotated:
    """key: the new file. changed: the other files that were changed. restart: services to restart."""

    key: Path
    changed: tuple[Path, ...]
    restart: tuple[str, ...]
    public: Mapping[str, Any]


def rotate_token(directory: Path) -> Rotated:
    """Replace the key that signs access tokens; tokens of the earlier key become invalid at the restart.

    Raises InvalidArgumentError.
    """
    return _rotate(directory, "token", "directory", "KOPURO_TOKEN_SIGNING_KEY", signing_key)


def rotate_custody(directory: Path) -> Rotated:
    """Replace the key to which partners seal cases, and announce it in discovery.json.

    Raises RotationRefused while a case or a message that is sealed to the earlier key is in intake, at the
    broker or in the vault; InvalidArgumentError.
    """
    environments = {
        service: read_environment(directory / "env" / f"{service}.env") for service in ("intake", "vault")
    }
    for service, tables in _SEALED.items():
        counts = _counts(service_database_in(service, environments[service]), tables)
        if counts:
            found = ", ".join(f"{count} in {table}" for table, count in counts.items())
            raise RotationRefused(
                f"{service} still has what is sealed to the present custody key ({found}): stop the "
                "admission of referrals, wait until the cases in custody are closed, and try again"
            )
    waiting = queue_counts(environments["vault"], _QUEUES)
    if found := ", ".join(f"{count} in {queue}" for queue, count in waiting.items() if count):
        raise RotationRefused(
            f"the broker still has cases sealed to the present custody key ({found}): let the vault process "
            "them, replay or discard the dead letters, and try again"
        )
    discovery = Path(environments["intake"].get("KOPURO_DISCOVERY", ""))
    document = _json(discovery)
    rotated = _rotate(directory, "custody", "vault", "KOPURO_CUSTODY_KEY", sealing_key)
    replace_content(discovery, json.dumps({**document, "custody_key": dict(rotated.public)}, indent=2) + "\n")
    return Rotated(
        key=rotated.key,
        changed=(*rotated.changed, discovery),
        restart=rotated.restart,
        public=rotated.public,
    )


def _rotate(
    directory: Path, name: str, service: str, variable: str, generate: Callable[[], dict[str, Any]]
) -> Rotated:
    file = directory.resolve() / "env" / f"{service}.env"
    variables = read_environment(file)
    present = Path(variables.get(variable, ""))
    if not present.is_file():
        raise InvalidArgumentError(f"{variable} in {file} does not name a file")
    place = present.resolve().parent
    numbers = [
        int(part)
        for part in (f.stem.rpartition("-")[2] for f in place.glob(f"{name}-*.json"))
        if part.isdigit()
    ]
    latest = place / f"{name}-{max(numbers)}.json" if numbers else None
    if latest is None or latest.resolve() == present.resolve():
        latest = place / f"{name}-{max(numbers, default=1) + 1}.json"
        write_new(latest, (json.dumps(generate()) + "\n").encode())
    give_to_owner_of(latest, present)
    public = public_half(_json(latest))
    replace_content(file, environment_text({**variables, variable: str(latest)}))
    return Rotated(key=latest, changed=(file,), restart=(service,), public=public)


def _counts(place: ServiceDatabase, tables: tuple[str, ...]) -> dict[str, int]:
    metadata = {"intake": INTAKE_TABLES, "vault": VAULT_TABLES}[place.service]
    try:
        database = Database.open(place.url, tls=place.tls)
    except ArgumentError:
        raise InvalidArgumentError(f"the database URL of {place.service} is not an SQLAlchemy URL") from None
    try:
        with database.read() as transaction:
            counts = {
                table: transaction.execute(
                    select(func.count()).select_from(metadata.tables[table])
                ).scalar_one()
                for table in tables
            }
    except DatabaseUnavailable as error:
        raise InvalidArgumentError(
            f"the database of {place.service} cannot be used: {error.reason()}"
        ) from None
    finally:
        database.close()
    return {table: count for table, count in counts.items() if count}


def _json(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InvalidArgumentError(f"{file} is missing or is not JSON") from None
    return document
