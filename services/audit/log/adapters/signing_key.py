"""The log's private keys, from the file that KOPURO_LOG_SIGNING_KEY names."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from contracts.errors import Defect
from runtime.private_keys import private_keys
from services.audit.log.domain.head import LogKey, origin_of
from services.audit.log.domain.note import Ed25519Signer


def load_log_key(file: Path | None, hub: str) -> LogKey:
    """Return the keys in a file (RFC 8037), the present one first. Raises Defect, which quotes nothing."""
    if file is None:
        raise Defect("KOPURO_LOG_SIGNING_KEY is not set: the service needs a key to sign the log.")
    try:
        keys = [OKPKey.import_key(key).private_key for key in private_keys(file)]
    except (OSError, ValueError, TypeError, KeyError, JoseError):
        raise Defect("The file in KOPURO_LOG_SIGNING_KEY is missing or not a JWK.") from None
    signers = [
        Ed25519Signer(name=origin_of(hub), private_key=key)
        for key in keys
        if isinstance(key, Ed25519PrivateKey)
    ]
    if len(signers) != len(keys):
        raise Defect("A JWK in KOPURO_LOG_SIGNING_KEY is not a private Ed25519 key.")
    return LogKey(signer=signers[0], earlier=tuple(signers[1:]))
