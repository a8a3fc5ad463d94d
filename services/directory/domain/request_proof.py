"""Proof that the client itself made a request: a signature over the request.

A token alone changes nothing where proof is required, so the key that signs tokens is not enough. A client
with keys of its own signs with one of them. A client with a secret derives a key: the secret is the seed of
an Ed25519 key, and the directory keeps only the public half.
Source: HKDF RFC 5869, Ed25519 RFC 8032.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from marshmallow.validate import Length

from contracts.errors import Refused
from contracts.jose import encoded
from services.directory.domain.client_key import ClientKey, KeyAlgorithm
from services.directory.domain.clock_skew import clock_skew

# How far a client's clock may differ, and how long a proof's id must be remembered.
VALID_FOR: Final = dt.timedelta(minutes=5)
_SEED_BYTES: Final = 32
_PURPOSE: Final = b"kopuro request proof"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvableRequest:
    """The parts of a request that a proof covers.

    path: from `/v1` on, decoded. token, body and preconditions: as sent.
    """

    method: str
    path: str
    token: str
    body: bytes
    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestProof:
    """The content of a proof whose signature is verified. token, body: SHA-256 in base64url.

    id: unique for the client; the directory accepts it once.
    """

    id: Annotated[str, Length(min=16, max=100)]
    issued_at: dt.datetime
    method: str
    path: str
    token: str
    body: str
    if_match: str | None = None
    if_none_match: str | None = None


def public_proof_key(secret: str) -> str:
    """Return the public Ed25519 key of a client's secret: 32 bytes in base64url."""
    seed = HKDF(algorithm=SHA256(), length=_SEED_BYTES, salt=None, info=_PURPOSE).derive(secret.encode())
    return encoded(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def secret_key(public: str) -> ClientKey:
    """Return the key of a secret. It has no `kid`, because a proof by it needs none."""
    return ClientKey(kid="", alg=KeyAlgorithm.EdDSA, x=public)


def check_proof(proof: RequestProof, request: ProvableRequest, now: dt.datetime) -> None:
    """Check that the proof is recent and for this request. Raises Refused `invalid-proof`, `clock-skew`."""
    if abs(now - proof.issued_at) > VALID_FOR:
        raise clock_skew(proof.issued_at, now, status=403)
    signed = (proof.method, proof.path, proof.token, proof.body, proof.if_match, proof.if_none_match)
    sent = (
        request.method,
        request.path,
        _digest(request.token.encode()),
        _digest(request.body),
        request.if_match,
        request.if_none_match,
    )
    if signed != sent:
        raise invalid_proof("The proof is for another request.")


def invalid_proof(detail: str) -> Refused:
    """Return the refusal of a proof."""
    return Refused("invalid-proof", detail)


def _digest(content: bytes) -> str:
    return encoded(sha256(content).digest())
