"""The custody key in memory. Its file is read once, at process start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from contracts.jose import LONGEST_SEALED, decoded, encoded, thumbprint
from contracts.organization import SealingKey
from services.vault.adapters import sealing
from services.vault.domain.sealed import SealedCase, unreadable
from services.vault.ports import UnusableKey


class CustodyKeyInMemory:
    """See `ports.CustodyKey`."""

    def __init__(self, private_jwk: dict[str, Any]) -> None:
        """Raises ValueError, without quoting the key, unless it is a private X25519 JWK (RFC 8037)."""
        try:
            usable = (private_jwk["kty"], private_jwk["crv"]) == ("OKP", "X25519")
            self._key = X25519PrivateKey.from_private_bytes(decoded(private_jwk["d"]))
            x = encoded(self._key.public_key().public_bytes_raw())
            # If the public key belonged to another pair, nothing sealed to it could be opened.
            usable = usable and private_jwk["x"] == x
        except (KeyError, TypeError, ValueError):
            usable = False
        if not usable:
            raise ValueError("the custody key is not a private X25519 JWK")
        self._kid = thumbprint(x)

    @classmethod
    def read(cls, file: Path) -> CustodyKeyInMemory:
        """Read the key from a JWK file. Raises OSError or ValueError."""
        return cls(orjson.loads(file.read_bytes()))

    @property
    def kid(self) -> str:
        """See `ports.CustodyKey`."""
        return self._kid

    def open(self, case: SealedCase) -> bytes:
        """See `ports.CustodyKey`."""
        header = case.header()
        if header["kid"] != self._kid:
            raise unreadable("The case is not sealed to this hub's custody key.")
        try:
            if len(case.ciphertext) > LONGEST_SEALED:
                raise sealing.Unopened
            return sealing.opened(self._key, case.whole(), header)
        except sealing.Unopened:
            raise unreadable("The case cannot be opened: it was altered, or sealed to another key.") from None

    def reseal(self, case: SealedCase, recipient: SealingKey) -> str:
        """See `ports.CustodyKey`."""
        plaintext = self.open(case)
        try:
            if (recipient.kty, recipient.crv) != ("OKP", "X25519"):
                raise ValueError
            return sealing.sealed(plaintext, recipient.x)
        except ValueError:
            raise UnusableKey("this key cannot be used to seal") from None
