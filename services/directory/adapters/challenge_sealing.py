"""Sealing of a challenge's answer to an organisation's key: compact JWE as for cases (`contracts.jose`)."""

from __future__ import annotations

from joserfc import jwe
from joserfc.jwk import OKPKey

from contracts.canonical import canonical_json
from contracts.jose import CONTENT_ENCRYPTION, KEY_MANAGEMENT
from contracts.organization import SealingKey
from services.directory.domain.sealing_key_history import Challenge

_REGISTRY = jwe.JWERegistry(algorithms=[KEY_MANAGEMENT, CONTENT_ENCRYPTION])


def sealed_answer(challenge: Challenge, answer: str, key: SealingKey) -> str:
    """Return the answer as a compact JWE that only the holder of `key` can open.

    The content names the organisation and the new key, so that nobody can pass off the challenge as that of
    another key.
    """
    content = {
        "purpose": "kopuro sealing key replacement",
        "challenge": challenge.id,
        "organization": challenge.organization,
        "kid": challenge.key.kid,
        "answer": answer,
    }
    header = {"alg": KEY_MANAGEMENT, "enc": CONTENT_ENCRYPTION, "kid": key.kid, "cty": "application/json"}
    recipient = OKPKey.import_key({"kty": key.kty, "crv": key.crv, "x": key.x})
    return jwe.encrypt_compact(header, canonical_json(content), recipient, registry=_REGISTRY)
