"""Reads the key and policy files of a hub with the reader of the service that uses each.

A file that a service's first start makes is compared with the service's database: another file, or a new one,
does not open what the database has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, Select, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from admin.doctor.observations import UnusableFile
from admin.hub_databases import service_database_in
from admin.read_only_engine import open_read_only
from admin.schema_revisions import opened_database, revision_of
from contracts.broker_rights import GATEWAY
from contracts.errors import Defect, Refused, Unavailable
from kopuro_client.client_key import ClientKey
from kopuro_client.errors import InvalidArgumentError
from runtime.access.signer import TokenSigner
from runtime.clock import SystemClock
from runtime.storage.database import DatabaseUnavailable, sqlite_url
from services.audit.log.adapters.policy_file import load_witness_policy
from services.audit.log.adapters.signing_key import load_log_key
from services.delivery.adapters.tables import WEBHOOK_SECRETS
from services.delivery.webhooks.adapters.key_file_seal import InvalidKeyFileError, KeyFileSeal
from services.directory.adapters.signing_keys import SigningKeys
from services.routing.domain.policy_document import parse_policy
from services.vault.adapters.custody_keys import CustodyKeyRing
from services.vault.adapters.key_store import KEYS
from services.vault.adapters.tables import SEALED_CASES, TRANSIT_KEYS
from services.vault.ports import KeyKind

# Cases whose keys are looked for: some may have been erased since a backup.
_MOST: Final = 200
_CASE_KEYS: Final = (
    select(SEALED_CASES.c.key_id)
    .where(SEALED_CASES.c.key_id.is_not(None))
    .order_by(SEALED_CASES.c.referral_id.desc())
    .limit(_MOST)
)
_TRANSIT_KEYS: Final = select(TRANSIT_KEYS.c.kid).limit(1)
_NEWEST_SECRET: Final = (
    select(WEBHOOK_SECRETS.c.endpoint_id, WEBHOOK_SECRETS.c.sealed)
    .order_by(WEBHOOK_SECRETS.c.number.desc())
    .limit(1)
)
_KEYS: Final = KEYS[KeyKind.case]
_RESTORE: Final = "restore the file from its backup, or name the file that the service used before"
_REFUSED: Final = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    InvalidArgumentError,
    Defect,
    Refused,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """How a service reads a file. read: raises one of _REFUSED. what: the required kind of file."""

    service: str
    variable: str
    what: str
    read: Callable[[Path], object]
    remedy: str = _RESTORE


def _token_keys(file: Path) -> object:
    return SigningKeys(file, lambda key: TokenSigner(key, "doctor"), lambda _keys: (), SystemClock())


def _gateway_key(file: Path) -> object:
    return ClientKey.from_jwk(json.loads(file.read_text(encoding="utf-8")))


_READINGS: Final = (
    _Reading(
        service="vault",
        variable="KOPURO_CUSTODY_KEY",
        what="private X25519 JWKs",
        read=CustodyKeyRing.in_file,
        remedy="restore custody.json from its backup: without it no case in custody can be opened",
    ),
    _Reading(
        service="directory",
        variable="KOPURO_TOKEN_SIGNING_KEY",
        what="private Ed25519 JWKs",
        read=_token_keys,
    ),
    _Reading(
        service="audit",
        variable="KOPURO_LOG_SIGNING_KEY",
        what="private Ed25519 JWKs",
        read=lambda file: load_log_key(file, "kg"),
        remedy="restore log.json from its backup: witnesses and partners know the log by this key",
    ),
    _Reading(
        service="audit",
        variable="KOPURO_WITNESS_POLICY",
        what="a witness policy",
        read=load_witness_policy,
        remedy="correct the file (docs/operations.md), or unset the variable: then no witness counts",
    ),
    _Reading(
        service="routing",
        variable="KOPURO_POLICY",
        what="a routing policy",
        read=lambda file: parse_policy(file.read_bytes()),
        remedy="correct the file (docs/operations.md), or unset the variable: then the default policy holds",
    ),
    _Reading(
        service=GATEWAY,
        variable="KOPURO_GATEWAY_KEY",
        what="a private JWK with a kid",
        read=_gateway_key,
        remedy="restore the file from its backup, or make another key with `kopuro admin amqp init`",
    ),
)


def unusable_files(environments: Mapping[str, Mapping[str, str]]) -> Iterator[UnusableFile]:
    """Return the files that a service refuses. A file that does not exist is left to the check `file`."""
    for reading in _READINGS:
        path = _named(environments, reading.service, reading.variable)
        if path is None or not path.is_file():
            continue
        try:
            reading.read(path)
        except _REFUSED:
            # The cause may quote the file.
            yield UnusableFile(
                service=reading.service,
                variable=reading.variable,
                path=path,
                fault=f"does not name a file with {reading.what}: the service does not start",
                remedy=reading.remedy,
            )
    yield from _vault_keys(environments)
    yield from _webhook_key(environments)


def _named(environments: Mapping[str, Mapping[str, str]], service: str, variable: str) -> Path | None:
    text = environments.get(service, {}).get(variable, "").strip()
    return Path(text) if text else None


def _vault_keys(environments: Mapping[str, Mapping[str, str]]) -> Iterator[UnusableFile]:
    path = _named(environments, "vault", "KOPURO_VAULT_KEYS")
    if path is None:
        return
    needed = _rows("vault", environments["vault"], _CASE_KEYS)
    fault = None
    if not path.exists():
        if needed or _rows("vault", environments["vault"], _TRANSIT_KEYS):
            fault = "names a file that does not exist, but the database has cases or transit keys of another"
    else:
        present = _ids_in(path)
        if present is None:
            fault = "does not name a file with the vault's own keys: the service does not start"
        elif needed and present.isdisjoint(id_ for (id_,) in needed):
            fault = "names a file without the keys of the cases in the database: no case can be opened"
    if fault is not None:
        yield UnusableFile(
            service="vault",
            variable="KOPURO_VAULT_KEYS",
            path=path,
            fault=fault,
            remedy="name the file that the vault used before, or restore its copy (docs/operations.md)",
        )


def _webhook_key(environments: Mapping[str, Mapping[str, str]]) -> Iterator[UnusableFile]:
    path = _named(environments, "delivery", "KOPURO_WEBHOOK_KEY")
    if path is None:
        return
    sealed = _rows("delivery", environments["delivery"], _NEWEST_SECRET)
    fault = None
    if not path.exists():
        if sealed:
            fault = "names a file that does not exist, but the database has secrets sealed with its key"
    else:
        try:
            seal = KeyFileSeal.from_file(path)
            for row in sealed:
                seal.open(row.endpoint_id, bytes(row.sealed))
        except InvalidKeyFileError as error:
            fault = f"{error}: the service does not start"
        except Unavailable:
            fault = "names another key than the one that sealed the webhook secrets in the database"
    if fault is not None:
        yield UnusableFile(
            service="delivery", variable="KOPURO_WEBHOOK_KEY", path=path, fault=fault, remedy=_RESTORE
        )


def _ids_in(key_store: Path) -> set[str] | None:
    """Return the ids of the case keys in the vault's key file; None if it is another file."""
    try:
        engine = open_read_only(sqlite_url(key_store.absolute()))
        try:
            with engine.connect() as connection:
                if not inspect(connection).has_table(_KEYS.name):
                    return set()  # a first start was interrupted
                return set(connection.execute(select(_KEYS.c.id)).scalars())
        finally:
            engine.dispose()
    except (SQLAlchemyError, ValueError):
        return None


def _rows(service: str, variables: Mapping[str, str], query: Select[Any]) -> Sequence[Row[Any]]:
    """Return rows of a service's database; none where it cannot be read, as other checks say."""
    try:
        place = service_database_in(service, variables)
        revision = revision_of(place)
        if revision.current != revision.newest:
            return ()
        with opened_database(place) as database, database.read() as transaction:
            return transaction.execute(query).all()
    except (InvalidArgumentError, DatabaseUnavailable, SQLAlchemyError):
        return ()
