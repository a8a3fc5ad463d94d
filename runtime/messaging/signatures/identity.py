"""A service's identity in its hub: its signing key, and the manifest that lists it.

A service refuses to start unless the hub's root key signed the manifest, and the manifest belongs to this hub
and lists the service with this key. Its version must not be below the newest one that the service has used:
an old manifest could restore a key that was removed because it was stolen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite

from contracts.manifest import Manifest, read_manifest
from contracts.records import Malformed
from contracts.signatures import SigningKey, VerificationKey
from contracts.topology import owners_of
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.settings import Settings, SettingsError
from runtime.storage.database import Database


class FileUnreadable(SettingsError):
    """The system refused to read a file of the identity, perhaps only now: its content is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubIdentity:
    """service: this process's service; key: signs its statements; owners: of a routing key."""

    service: str
    key: SigningKey
    manifest: Manifest
    owners: Callable[[str], Collection[str]] = owners_of

    @property
    def source(self) -> str:
        """Return the CloudEvents source of the service's events, `/<hub>/<service>`."""
        return f"/{self.manifest.hub}/{self.service}"

    def remember(self, database: Database, table: Table) -> None:
        """Store the manifest's version. Raises SettingsError when a newer one was used before."""
        hub, version = self.manifest.hub, self.manifest.version
        with database.write() as transaction:
            used = transaction.execute(select(table.c.version).where(table.c.hub == hub)).scalar()
            if used is not None and used > version:
                raise SettingsError(
                    [
                        f"KOPURO_MANIFEST has version {version}, and {self.service} has used version {used}: "
                        "an older manifest may list keys that were removed"
                    ]
                )
            if used != version:
                insert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
                statement = insert(table).values(hub=hub, version=version)
                newer = statement.excluded.version > table.c.version
                transaction.execute(
                    statement.on_conflict_do_update(
                        index_elements=[table.c.hub],
                        set_={"version": statement.excluded.version},
                        where=newer,
                    )
                )


def load_identity(settings: Settings, service: str) -> HubIdentity:
    """Read the service's identity from its files.

    Raises SettingsError, which names the variable; FileUnreadable if a file could not be read.
    """
    try:
        key = SigningKey(_jwk(settings.service_key), STATEMENT_TYPE)
    except (OSError, ValueError) as fault:
        # Not chained: the cause may quote the contents of the key file.
        raise _kind(fault)(["KOPURO_SERVICE_KEY does not name a private Ed25519 JWK"]) from None
    try:
        root = VerificationKey(_jwk(settings.hub_key))
    except (OSError, ValueError) as fault:
        raise _kind(fault)(["KOPURO_HUB_KEY does not name a public Ed25519 JWK"]) from None
    try:
        manifest = read_manifest(settings.manifest.read_text(encoding="utf-8"), root)
    except (OSError, UnicodeDecodeError, Malformed) as fault:
        raise _kind(fault)([f"KOPURO_MANIFEST cannot be used: {_text_of(fault)}"]) from None
    if manifest.hub != settings.hub:
        raise SettingsError([f"KOPURO_MANIFEST belongs to the hub {manifest.hub}, not to {settings.hub}"])
    identity = manifest.services.get(service)
    if identity is None or key.kid not in {listed.kid for listed in identity.keys}:
        raise SettingsError([f"KOPURO_MANIFEST does not list the key in KOPURO_SERVICE_KEY for {service}"])
    return HubIdentity(service=service, key=key, manifest=manifest)


def _jwk(file: Path) -> Any:
    return orjson.loads(file.read_bytes())


def _kind(fault: Exception) -> type[SettingsError]:
    return FileUnreadable if isinstance(fault, OSError) else SettingsError


def _text_of(fault: Exception) -> str:
    return str(fault) if isinstance(fault, Malformed) else "it cannot be read"
