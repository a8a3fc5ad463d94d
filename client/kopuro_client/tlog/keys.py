"""Keys of logs and witnesses, which sign notes.

A public key is written as a **verifier key**, `name+hash+base64`. The hash is of name, algorithm and key, and
detects typing errors. A private key is written in the same way, after `PRIVATE+KEY+`.

Source: https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature; the private form is that of
Go's golang.org/x/mod/sumdb/note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.errors import MalformedError

KEY_NAME: Final = re.compile(r"[^\x00-\x1f+\s\ud800-\udfff]+")
KEY_BYTES: Final = 32
_PRIVATE: Final = "PRIVATE+KEY+"
_TIME_BYTES: Final = 8
_ED25519_BYTES: Final = 64


class Algorithm(IntEnum):
    """The supported signature types, with their type bytes."""

    ED25519 = 0x01
    COSIGNATURE = 0x04  # Ed25519 over a checkpoint and the time at which it was seen


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifierKey:
    """A public key. name: its owner's; public_key: 32 bytes (RFC 8032). Raises MalformedError."""

    name: str
    public_key: bytes
    algorithm: Algorithm = Algorithm.ED25519

    def __post_init__(self) -> None:
        if not KEY_NAME.fullmatch(self.name):
            raise MalformedError("a key's name must not have spaces, plus signs or control characters")
        if len(self.public_key) != KEY_BYTES:
            raise MalformedError("an Ed25519 public key must have 32 bytes")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that, with the name, identify this key and its algorithm."""
        material = b"\n" + bytes([self.algorithm]) + self.public_key
        return sha256(self.name.encode() + material).digest()[:4]

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key signed this text. signature: 64 bytes, in a cosignature after 8 of time."""
        signed, message = signature, text
        if self.algorithm is Algorithm.COSIGNATURE:
            time = signed_time(signature)
            if time is None:
                return False
            signed, message = signature[_TIME_BYTES:], cosigned_message(text, time)
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signed, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return _written(self.name, self.key_id, self.algorithm, self.public_key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what `str` wrote. Raises MalformedError, also for unsupported algorithms."""
        name, key_id, algorithm, material = _read(text)
        key = cls(name=name, public_key=material, algorithm=algorithm)
        if key.key_id.hex() != key_id:
            raise MalformedError("the verifier key's hash does not match its name and key")
        return key


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A private key. seed: 32 bytes, secret (RFC 8032). Raises MalformedError."""

    name: str
    seed: bytes = field(repr=False)
    algorithm: Algorithm = Algorithm.COSIGNATURE

    def __post_init__(self) -> None:
        if len(self.seed) != KEY_BYTES:
            raise MalformedError("an Ed25519 private key must have 32 bytes")
        _ = self.verifier  # which checks the name

    @classmethod
    def generate(cls, name: str, algorithm: Algorithm = Algorithm.COSIGNATURE) -> Self:
        """Generate a new key."""
        seed = Ed25519PrivateKey.generate().private_bytes_raw()
        return cls(name=name, seed=seed, algorithm=algorithm)

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        public = self._private.public_key().public_bytes_raw()
        return VerifierKey(name=self.name, public_key=public, algorithm=self.algorithm)

    def sign(self, text: bytes, *, time: int) -> bytes:
        """Return the signature of a note's text. time: POSIX seconds; only cosignatures include it."""
        if self.algorithm is Algorithm.ED25519:
            return self._private.sign(text)
        if not 0 < time < 2**63:
            raise ValueError("a cosignature's time must be after 1970")
        return time.to_bytes(_TIME_BYTES, "big") + self._private.sign(cosigned_message(text, time))

    def secret_text(self) -> str:
        """Return the key as text for a file, which only its owner may read."""
        return _PRIVATE + _written(self.name, self.verifier.key_id, self.algorithm, self.seed)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what `secret_text` wrote. Raises MalformedError, which never quotes the key."""
        if not text.startswith(_PRIVATE):
            raise MalformedError("a private key must begin with PRIVATE+KEY+")
        name, key_id, algorithm, material = _read(text.removeprefix(_PRIVATE))
        key = cls(name=name, seed=material, algorithm=algorithm)
        if key.verifier.key_id.hex() != key_id:
            raise MalformedError("the private key's hash does not match its name and key")
        return key

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def cosigned_message(text: bytes, time: int) -> bytes:
    """Return the message that a witness signs. text: a checkpoint's, with the last newline; time: seconds."""
    return b"cosignature/v1\ntime %d\n" % time + text


def signed_time(signature: bytes) -> int | None:
    """Return a cosignature's POSIX time; None if the bytes are not a cosignature."""
    if len(signature) != _TIME_BYTES + _ED25519_BYTES or signature[0] & 0x80:
        return None
    return int.from_bytes(signature[:_TIME_BYTES], "big")


def _written(name: str, key_id: bytes, algorithm: Algorithm, material: bytes) -> str:
    return f"{name}+{key_id.hex()}+{base64_text.encode(bytes([algorithm]) + material)}"


def _read(text: str) -> tuple[str, str, Algorithm, bytes]:
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = base64_text.decode(encoded, what="the last part of a key (name+hash+base64)")
    try:
        return name, key_id, Algorithm(material[0]), material[1:]
    except (ValueError, IndexError):
        raise MalformedError("the key is neither Ed25519 (type 01) nor a cosigner's (type 04)") from None
