"""Proofs that the holder of the client's secret makes a request: the directory demands one for each change.

The secret is the seed of an Ed25519 key, so there is no other key to keep, and the secret does not travel.
Source: HKDF RFC 5869, Ed25519 RFC 8032, compact JWS RFC 7515 §7.1, RFC 9864 §2.2.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER: Final = "Kopuro-Proof"
_PROTECTED: Final = {"alg": "Ed25519", "typ": "kopuro-proof"}
_PURPOSE: Final = b"kopuro request proof"
_ID_BYTES: Final = 16


class RequestSigner:
    """Signs the requests of one client that change the directory. root: the directory's base URL."""

    def __init__(self, root: str, client_secret: str) -> None:
        self._root = root.rstrip("/")
        self._key = proof_key(client_secret)

    def signs(self, method: str, url: str) -> bool:
        """Return whether the directory may demand a proof of this request."""
        return method != "GET" and url.startswith(f"{self._root}/")

    def proof(
        self,
        method: str,
        url: str,
        *,
        token: str,
        body: bytes = b"",
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> str:
        """Return the value of `Kopuro-Proof`: a compact JWS that is good for one request.

        token: the bearer token that the request carries; if_match, if_none_match: its headers.
        """
        content = {
            "id": secrets.token_urlsafe(_ID_BYTES),
            "issued_at": dt.datetime.now(dt.UTC).isoformat(),
            "method": method,
            "path": unquote(urlsplit(url[len(self._root) :]).path),
            "token": _encoded(sha256(token.encode()).digest()),
            "body": _encoded(sha256(body).digest()),
            "if_match": if_match,
            "if_none_match": if_none_match,
        }
        signed = f"{_encoded(_json(_PROTECTED))}.{_encoded(_json(content))}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"


def proof_key(client_secret: str) -> Ed25519PrivateKey:
    """Return the key that a client's secret yields: HKDF-SHA256 without salt, "kopuro request proof"."""
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(client_secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
