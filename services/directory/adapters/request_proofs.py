"""Request proofs as compact JWS, their public keys and their ids. Source: RFC 7515 §7.1, RFC 9864 §2.2."""

from __future__ import annotations

import datetime as dt
from typing import Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Refused
from contracts.records import load
from runtime.web.request import parse_json
from services.directory.adapters.tables import PROOF_KEYS, USED_PROOFS
from services.directory.domain.client import Client
from services.directory.domain.request_proof import RequestProof, invalid_proof

ALGORITHM: Final = "Ed25519"
TYPE: Final = "kopuro-proof"
_LONGEST: Final = 4096  # characters


def read_proof(text: str, key: str) -> RequestProof:
    """Return the content of a proof. key: the client's public key, in base64url.

    Raises Refused `invalid-proof`; the algorithm is fixed, whatever the header says.
    """
    if len(text) > _LONGEST:
        raise invalid_proof("The proof is too long.")
    public = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": key})
    try:
        read = jws.deserialize_compact(text, public, algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        raise invalid_proof("The proof is damaged or another key signed it.") from None
    if read.headers().get("typ") != TYPE:
        raise invalid_proof("The signature is not a proof of a request.")
    try:
        return load(RequestProof, parse_json(read.payload))
    except Refused as refused:
        raise Refused(
            "invalid-proof", "The proof does not follow the contract.", errors=refused.errors
        ) from None


class SqlProofKeyStore:
    """See `ports.ProofKeyStore`."""

    def key(self, transaction: Connection, client: Client) -> str | None:
        """See `ports.ProofKeyStore`."""
        query = select(PROOF_KEYS.c.key).where(
            PROOF_KEYS.c.client_id == client.id, PROOF_KEYS.c.secret_sha256 == client.secret_sha256
        )
        found: str | None = transaction.execute(query).scalar_one_or_none()
        return found

    def register(self, transaction: Connection, client: Client, key: str) -> None:
        """See `ports.ProofKeyStore`."""
        row = {"client_id": client.id, "secret_sha256": client.secret_sha256, "key": key}
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(PROOF_KEYS).values(row)
        transaction.execute(
            statement.on_conflict_do_update(index_elements=[PROOF_KEYS.c.client_id], set_=row)
        )

    def use(
        self, transaction: Connection, client_id: str, proof_id: str, *, now: dt.datetime, until: dt.datetime
    ) -> bool:
        """See `ports.ProofKeyStore`."""
        transaction.execute(delete(USED_PROOFS).where(USED_PROOFS.c.until <= now))
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(USED_PROOFS).values(client_id=client_id, proof_id=proof_id, until=until)
        return transaction.execute(statement.on_conflict_do_nothing()).rowcount == 1
