"""Cosignatures: a witness's signed statement that a checkpoint extends all that it saw before.

Source: https://c2sp.org/tlog-cosignature (the Ed25519 form, `cosignature/v1`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts import base64_text
from services.audit.log.domain.note import MalformedKey, Signature, key_id

ED25519_COSIGNATURE = 0x04  # signature type identifier
_TIMESTAMP_BYTES = 8
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class CosignatureVerifier:
    """The public key of a witness (a `note.Verifier`). public_key: 32 bytes. Raises MalformedKey."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not self.name or len(self.public_key) != 32:
            raise MalformedKey("an Ed25519 public key has a name and 32 bytes")

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, ED25519_COSIGNATURE, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether this witness made the timestamped signature over this checkpoint text."""
        time, signed = signature[:_TIMESTAMP_BYTES], signature[_TIMESTAMP_BYTES:]
        if len(signed) != _SIGNATURE_BYTES or time[0] & 0x80:
            return False
        message = signed_message(int.from_bytes(time, "big"), text)
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signed, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def format(self) -> str:
        """Return the verifier key (vkey): `name+key id in hex+base64 of type and public key`."""
        material = base64_text.encoded(bytes([ED25519_COSIGNATURE]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> CosignatureVerifier:
        """Parse the output of `format`. Raises MalformedKey, also for keys of other algorithms."""
        name, _, rest = text.partition("+")
        _, _, encoded = rest.partition("+")
        try:
            material = base64_text.decoded(encoded)
        except ValueError:
            raise MalformedKey("a verifier key is name+hash+base64") from None
        if material[:1] != bytes([ED25519_COSIGNATURE]):
            raise MalformedKey("not the verifier key of an Ed25519 cosigner (type 04)")
        verifier = cls(name=name, public_key=material[1:])
        if verifier.format() != text:
            raise MalformedKey("the verifier key's hash does not belong to its name and key")
        return verifier


def signed_message(timestamp: int, text: bytes) -> bytes:
    """Return the message that an Ed25519 cosigner signs. timestamp: POSIX seconds; text: the checkpoint."""
    return f"cosignature/v1\ntime {timestamp}\n".encode() + text


def cosigned_at(signature: Signature) -> dt.datetime:
    """Return the time of a cosignature, by the witness's clock. Raises ValueError beyond the calendar."""
    seconds = int.from_bytes(signature.signature[:_TIMESTAMP_BYTES], "big")
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, OSError):
        raise ValueError("the cosignature's time is out of range") from None
