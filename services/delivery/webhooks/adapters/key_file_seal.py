"""Sealing of signing secrets with a key in a file of its own.

A backup or a stolen disk of the database alone thus gives away no secret. The first start creates the file.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import Unavailable
from runtime.storage.durable_names import sync_directory
from services.delivery.webhooks.domain.signature import SECRET_BYTES, SigningSecret

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class InvalidKeyFileError(Exception):
    """The file is not a key of this kind, or cannot be created."""


class KeyFileSeal:
    """See `ports.SecretSeal`. AES-256-GCM; the endpoint's id is authenticated with each secret."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, file: Path) -> KeyFileSeal:
        """Read the key, or create the file with a new one that only its owner can read.

        Raises InvalidKeyFileError.
        """
        try:
            try:
                key = file.read_bytes()
            except FileNotFoundError:
                key = secrets.token_bytes(_KEY_BYTES)
                _create(file, key)
        except OSError:
            raise InvalidKeyFileError("does not name a file that delivery can read or create") from None
        if len(key) != _KEY_BYTES:
            raise InvalidKeyFileError(f"does not name a file of {_KEY_BYTES} bytes")
        return cls(key)

    def make(self, endpoint_id: str) -> tuple[SigningSecret, bytes]:
        """See `ports.SecretSeal`."""
        content, nonce = secrets.token_bytes(SECRET_BYTES), secrets.token_bytes(_NONCE_BYTES)
        return SigningSecret.of(content), nonce + self._cipher.encrypt(nonce, content, endpoint_id.encode())

    def open(self, endpoint_id: str, sealed: bytes) -> SigningSecret:
        """See `ports.SecretSeal`."""
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return SigningSecret.of(self._cipher.decrypt(nonce, content, endpoint_id.encode()))
        except (InvalidTag, ValueError):
            raise Unavailable("A webhook's secret was sealed with another key.") from None


def _create(file: Path, key: bytes) -> None:
    """Write the file completely or not at all; durable when this returns."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, file)  # fails if another process was first
    except FileExistsError:
        raise InvalidKeyFileError("names a file that another process has just created") from None
    finally:
        draft.unlink()
    sync_directory(file.parent)
