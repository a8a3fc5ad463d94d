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
    """The key in a JWK file (RFC 8037). Raises Defect, which never repeats any of the file."""
    if file is None:
        raise Defect("KOPURO_LOG_SIGNING_KEY is not set: without a key the log cannot be signed.")
    try:
        private = OKPKey.import_key(orjson.loads(file.read_bytes())).private_key
    except (OSError, ValueError, TypeError, KeyError, JoseError):
        raise Defect("The file of KOPURO_LOG_SIGNING_KEY holds no JWK.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise Defect("The file of KOPURO_LOG_SIGNING_KEY holds no private Ed25519 key.")
    return LogKey(signer=Ed25519Signer(name=origin_of(hub), private_key=private))
