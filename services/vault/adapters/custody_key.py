"""The custody key, in memory. Its file is read once, when the process starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from contracts.organization import SealingKey
from services.vault.domain.sealed import CONTENT_ENCRYPTION, KEY_MANAGEMENT, SealedCase, unreadable
from services.vault.ports import UnusableKey

_LONGEST_SEALED: Final = 1_048_576  # characters; what the door admits
# What the libraries below raise for input that is malformed rather than merely wrong.
_MALFORMED: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError)


class _Registry(jwe.JWERegistry):
    """The library's own bound is 64 KiB, less than one scanned page."""

    max_ciphertext_length = _LONGEST_SEALED


_REGISTRY: Final = _Registry(algorithms=[KEY_MANAGEMENT, CONTENT_ENCRYPTION])


class CustodyKeyInMemory:
    """See `ports.CustodyKey`."""

    def __init__(self, private_jwk: dict[str, Any]) -> None:
        """Raises ValueError unless it is a private X25519 key (RFC 8037). The text never repeats it."""
        try:
            # Only what makes the key: other members ("use", "alg") must not change how it is used.
            self._key = OKPKey.import_key({name: private_jwk[name] for name in ("kty", "crv", "x", "d")})
            usable = (private_jwk["kty"], private_jwk["crv"]) == ("OKP", "X25519") and self._key.is_private
        except _MALFORMED:
            usable = False
        if not usable:
            raise ValueError("the custody key is not a private X25519 JWK")
        self._kid = self._key.thumbprint()

    @classmethod
    def read(cls, file: Path) -> CustodyKeyInMemory:
        """The key in a JWK file. Raises OSError or ValueError."""
        return cls(orjson.loads(file.read_bytes()))

    @property
    def kid(self) -> str:
        """See `ports.CustodyKey`."""
        return self._kid

    def open(self, case: SealedCase) -> bytes:
        """See `ports.CustodyKey`."""
        if case.kid() != self._kid:
            raise unreadable("The case is sealed to another key than this hub's custody key.")
        try:
            plaintext = jwe.decrypt_compact(case.whole(), self._key, registry=_REGISTRY).plaintext
        except _MALFORMED:
            raise unreadable("The case cannot be opened: it was altered, or not sealed to its key.") from None
        return plaintext or b""

    def reseal(self, case: SealedCase, recipient: SealingKey) -> str:
        """See `ports.CustodyKey`."""
        plaintext = self.open(case)
        try:
            key = OKPKey.import_key({"kty": recipient.kty, "crv": recipient.crv, "x": recipient.x})
            # The thumbprint names the key whatever its record says: the recipient checks it on opening.
            header = {
                "alg": KEY_MANAGEMENT,
                "enc": CONTENT_ENCRYPTION,
                "kid": key.thumbprint(),
                "cty": "application/json",
            }
            return jwe.encrypt_compact(header, plaintext, key, registry=_REGISTRY)
        except _MALFORMED:
            raise UnusableKey("nothing can be sealed to this key") from None
