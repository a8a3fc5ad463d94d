"""Private keys with which a client authenticates and signs, instead of showing a secret.

Source: JWK RFC 7517, compact JWS RFC 7515 §7.1, ES256 and ES384 RFC 7518 §3.4, Ed25519 RFC 9864 §2.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from kopuro_client.errors import InvalidArgumentError

_DER, _PKCS8 = Encoding.DER, PrivateFormat.PKCS8
_ALGORITHMS: Final = {"Ed25519": "Ed25519", "P-256": "ES256", "P-384": "ES384"}


class ClientKey:
    """A private key of a client. kid: its id in the directory; None: signed texts name no key."""

    def __init__(self, key: OKPKey | ECKey, *, kid: str | None) -> None:
        """Raises InvalidArgumentError for a public key and another curve."""
        algorithm = _ALGORITHMS.get(str(key.as_dict(private=False).get("crv")))
        if algorithm is None or not key.is_private:
            raise InvalidArgumentError("the client key must be a private key of Ed25519, P-256 or P-384")
        self._key = key
        self._kid = kid
        self._algorithm = algorithm

    @classmethod
    def from_jwk(cls, document: Mapping[str, Any]) -> ClientKey:
        """Return the key of a private JWK with a `kid`.

        Raises InvalidArgumentError, which never repeats a part of the key.
        """
        kid = document.get("kid")
        if not isinstance(kid, str) or not kid:
            raise InvalidArgumentError("the client key has no kid")
        kind: type[OKPKey] | type[ECKey] = OKPKey if document.get("kty") == "OKP" else ECKey
        members = {name: document[name] for name in ("kty", "crv", "x", "y", "d") if name in document}
        try:
            key = kind.import_key(cast("Any", members))
        except (JoseError, KeyError, TypeError, ValueError):
            raise InvalidArgumentError("the client key is not a valid JWK") from None
        return cls(key, kid=kid)

    @classmethod
    def derived(cls, key: Ed25519PrivateKey) -> ClientKey:
        """Return a key that the directory knows by its client alone, without a `kid`."""
        return cls(OKPKey.import_key(key.private_bytes(_DER, _PKCS8, NoEncryption())), kid=None)

    def signed(self, content: Mapping[str, Any], *, typ: str) -> str:
        """Return JSON as compact JWS. typ: what kind of text it is."""
        header = {"alg": self._algorithm, "typ": typ}
        if self._kid is not None:
            header["kid"] = self._kid
        payload = json.dumps(content, separators=(",", ":")).encode()
        return jws.serialize_compact(header, payload, self._key, algorithms=[self._algorithm])


def generate_client_key(kid: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a new Ed25519 key as a private JWK, and its public JWK, which the directory gets."""
    key = OKPKey.generate_key("Ed25519", {"kid": kid})
    return dict(key.as_dict(private=True)), dict(key.as_dict(private=False))
