"""Request proofs as compact JWS, their public keys and their ids. Source: RFC 7515 §7.1, RFC 9864 §2.2."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Refused
from contracts.records import load
from services.directory.adapters.client_signatures import LONGEST_SIGNED, BadSignature, signed_content
from services.directory.adapters.tables import PROOF_KEYS, USED_PROOFS
from services.directory.domain.client_key import ClientKey
from services.directory.domain.request_proof import RequestProof, invalid_proof

TYPE: Final = "kopuro-proof"


def read_proof(text: str, keys: Iterable[ClientKey]) -> RequestProof:
    """Return the content of a proof. keys: of the client.

    Raises Refused `invalid-proof`; the key fixes the algorithm, whatever the header says.
    """
    if len(text) > LONGEST_SIGNED:
        raise invalid_proof("The proof is too long.")
    try:
        content = signed_content(text, keys, {TYPE})
    except BadSignature:
        raise invalid_proof(
            "The proof is damaged, has another `typ`, or is not signed by a key of this client."
        ) from None
    except Refused as refused:
        raise invalid_proof(refused.detail) from None
    try:
        return load(RequestProof, content)
    except Refused as refused:
        raise Refused(
            "invalid-proof", "The proof does not follow the contract.", errors=refused.errors
        ) from None


class SqlProofKeyStore:
    """See `ports.ProofKeyStore`."""

    def keys(self, transaction: Connection, client_id: str, secrets: Sequence[str]) -> list[str]:
        """See `ports.ProofKeyStore`."""
        query = select(PROOF_KEYS.c.key).where(
            PROOF_KEYS.c.client_id == client_id, PROOF_KEYS.c.secret_sha256.in_(secrets)
        )
        return list(transaction.execute(query).scalars())

    def register(
        self, transaction: Connection, client_id: str, secret_sha256: str, key: str, *, live: Sequence[str]
    ) -> None:
        """See `ports.ProofKeyStore`."""
        transaction.execute(
            delete(PROOF_KEYS).where(
                PROOF_KEYS.c.client_id == client_id, PROOF_KEYS.c.secret_sha256.not_in(live)
            )
        )
        row = {"client_id": client_id, "secret_sha256": secret_sha256, "key": key}
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        transaction.execute(dialect.insert(PROOF_KEYS).values(row).on_conflict_do_nothing())

    def use(
        self, transaction: Connection, client_id: str, proof_id: str, *, now: dt.datetime, until: dt.datetime
    ) -> bool:
        """See `ports.ProofKeyStore`."""
        transaction.execute(delete(USED_PROOFS).where(USED_PROOFS.c.until <= now))
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(USED_PROOFS).values(client_id=client_id, proof_id=proof_id, until=until)
        return transaction.execute(statement.on_conflict_do_nothing()).rowcount == 1
