"""The log's private key, from the file that KOPURO_LOG_SIGNING_KEY names."""

from __future__ import annotations

from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from contracts.errors import Defect
from services.audit.log.domain.head import LogKey, origin_of
from services.audit.log.domain.note import Ed25519Signer


def load_log_key(file: Path | None, hub: str) -> LogKey:
    """Return the key in a JWK file (RFC 8037). Raises Defect, which never quotes the file."""
    if file is None:
        raise Defect("KOPURO_LOG_SIGNING_KEY is not set: the service needs a key to sign the log.")
    try:
        private = OKPKey.import_key(orjson.loads(file.read_bytes())).private_key
    except (OSError, ValueError, TypeError, KeyError, JoseError):
        raise Defect("The file in KOPURO_LOG_SIGNING_KEY is missing or not a JWK.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise Defect("The JWK in KOPURO_LOG_SIGNING_KEY is not a private Ed25519 key.")
    return LogKey(signer=Ed25519Signer(name=origin_of(hub), private_key=private))
