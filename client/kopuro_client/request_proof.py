"""Proofs that the client itself makes a request: the directory demands one for each change.

A client with a key of its own signs with it. Otherwise the secret is the seed of an Ed25519 key, so there is
no other key to keep, and the secret does not travel. Source: HKDF RFC 5869, Ed25519 RFC 8032.
"""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from hashlib import sha256
from typing import Final
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kopuro_client.client_key import ClientKey

HEADER: Final = "Kopuro-Proof"
_TYPE: Final = "kopuro-proof"
_PURPOSE: Final = b"kopuro request proof"
_ID_BYTES: Final = 16


class RequestSigner:
    """Signs the requests of one client that change the directory. root: the directory's base URL."""

    def __init__(self, root: str, client_secret: str, client_key: ClientKey | None = None) -> None:
        """client_key: the client's own key; it is used instead of the secret."""
        self._root = root.rstrip("/")
        self._key = client_key or ClientKey.derived(proof_key(client_secret))

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
        return self._key.signed(content, typ=_TYPE)


def proof_key(client_secret: str) -> Ed25519PrivateKey:
    """Return the key that a client's secret yields: HKDF-SHA256 without salt, "kopuro request proof"."""
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(client_secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
