"""The command `kopuro admin evidence`: verifies the signed facts on which the vault acted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select

from admin.environment_files import EMBEDDED, read_environment
from admin.manifest_files import manifest_in, manifest_of
from contracts.envelope import Envelope
from contracts.manifest import Manifest
from contracts.records import Malformed
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.signatures.verifier import FactVerifier, NotAuthentic
from runtime.storage.database import Database
from services.vault.adapters.tables import EVIDENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultFact:
    """A fact that the vault acted on.

    author: the service that signed it, None when the signature does not verify; problem says why. event: its
    JSON, as it was signed.
    """

    type: str
    message_id: str
    acted_at: str
    author: str | None
    problem: str | None
    event: str
    signed: str

    def document(self) -> dict[str, str | None]:
        """Return the members as JSON values."""
        return asdict(self)


def manifest_for(keys: Path | None, env_dir: Path | None, data_dir: Path | None) -> Manifest:
    """Return the manifest in `keys`, or else the one that the vault's environment file names.

    data_dir: of an embedded hub, which has such a file. Raises InvalidArgumentError when nothing names the
    manifest, and when it cannot be read.
    """
    if keys is not None:
        return manifest_in(keys)
    if data_dir is not None:
        env_dir = data_dir / EMBEDDED
    if env_dir is None:
        raise InvalidArgumentError(
            "give --keys, which names the hub's manifest, or --env or --data-dir in place of --database"
        )
    file = env_dir / "vault.env"
    variables = read_environment(file)
    key, manifest = (variables.get(name, "").strip() for name in ("KOPURO_HUB_KEY", "KOPURO_MANIFEST"))
    if not key or not manifest:
        raise InvalidArgumentError(f"{file} lacks KOPURO_HUB_KEY or KOPURO_MANIFEST: give --keys")
    return manifest_of(Path(key), Path(manifest))


def evidence_of(referral_id: str, database: Database, manifest: Manifest) -> list[VaultFact]:
    """Return the vault's evidence about a referral, oldest first, verified with the manifest."""
    return list(_read(database, FactVerifier(manifest), referral_id))


def _read(database: Database, verifier: FactVerifier, referral_id: str) -> Iterator[VaultFact]:
    table = EVIDENCE.c
    wanted = select(EVIDENCE).where(table.referral_id == referral_id).order_by(table.acted_at, table.type)
    with database.read() as transaction:
        for row in transaction.execute(wanted):
            author, problem = _author(verifier, bytes(row.body), row.signed)
            acted_at: dt.datetime = row.acted_at
            yield VaultFact(
                type=row.type,
                message_id=row.message_id,
                acted_at=acted_at.isoformat(),
                author=author,
                problem=problem,
                event=bytes(row.body).decode(),
                signed=row.signed,
            )


def _author(verifier: FactVerifier, body: bytes, proof: str) -> tuple[str | None, str | None]:
    try:
        author = verifier.author_of(body, proof)
        verifier.check(author, Envelope.decode(body))
    except (NotAuthentic, Malformed) as error:
        return None, str(error)
    return author, None
