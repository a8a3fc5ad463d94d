"""Signatures of webhook requests: `v1` (HMAC-SHA256) and `v1a` (Ed25519).

Source: the Standard Webhooks specification 1.0.0. The signed content is `<id>.<timestamp>.<body>`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.base64_text import encoded

_MAC_BYTES: Final = 32
_SEED_BYTES: Final = 32
SECRET_BYTES: Final = _MAC_BYTES + _SEED_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningSecret:
    """The secret of one endpoint: a MAC key that it shares, and the seed of a key that only the hub has."""

    mac_key: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    @classmethod
    def of(cls, content: bytes) -> SigningSecret:
        """Return the secret in SECRET_BYTES random bytes. Raises ValueError for another length."""
        if len(content) != SECRET_BYTES:
            raise ValueError(f"a signing secret has {SECRET_BYTES} bytes")
        return cls(mac_key=content[:_MAC_BYTES], seed=content[_MAC_BYTES:])

    @property
    def shared(self) -> str:
        """Return the shared secret as its owner stores it: `whsec_` and base64."""
        return "whsec_" + encoded(self.mac_key)

    @property
    def public_key(self) -> str:
        """Return the public key that verifies `v1a`: `whpk_` and base64."""
        return "whpk_" + encoded(self._key().public_key().public_bytes_raw())

    def signatures(self, content: bytes) -> tuple[str, str]:
        """Return the `v1` and the `v1a` signature of the content."""
        return (
            "v1," + encoded(hmac.digest(self.mac_key, content, sha256)),
            "v1a," + encoded(self._key().sign(content)),
        )

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def signed_headers(
    secrets: Sequence[SigningSecret], *, message_id: str, timestamp: int, body: bytes
) -> Mapping[str, str]:
    """Return the three headers of a request. timestamp: of the attempt, in seconds since 1970.

    secrets: all that are live, so that a receiver may replace its own at any time of the overlap.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(text for secret in secrets for text in secret.signatures(content)),
    }
