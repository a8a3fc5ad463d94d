"""The command `kopuro admin evidence`: verifies the signed facts on which the vault acted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select

from admin.manifest_files import manifest_in
from admin.service_database import service_database
from contracts.envelope import Envelope
from contracts.records import Malformed
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


def evidence_of(referral_id: str, database_url: str, keys: Path) -> list[VaultFact]:
    """Return the vault's evidence about a referral, oldest first, verified with the manifest in `keys`.

    Raises InvalidArgumentError when the manifest or the database cannot be read.
    """
    verifier = FactVerifier(manifest_in(keys))
    with service_database(database_url) as database:
        return list(_read(database, verifier, referral_id))


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
