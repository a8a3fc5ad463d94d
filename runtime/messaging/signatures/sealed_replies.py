"""Sealing of replies to the process that asked: HPKE (RFC 9180) in base mode, and AES-256-GCM.

A requester makes a key pair at its start and names the public half in each request, which its service has
signed. The answering process seals a random session key to it once: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
AES-256-GCM. Replies are sealed with the session key and a random nonce; the number of the request is the
associated data, so that a reply opens for its own request only. The private half and the session keys are in
memory only. So a reader of the broker's messages with any password, or of its disk, cannot open a reply.

Layout, base64url: the HPKE ciphertext of the session key (80 bytes), nonce (12), ciphertext and tag.
"""

from __future__ import annotations

from collections import OrderedDict
from secrets import token_bytes
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from contracts.jose import CONTENT_KEY, IV, TAG, decoded, encoded

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE: Final = b"kopuro reply 1"
_SESSION: Final = 32 + CONTENT_KEY + TAG  # bytes: the ephemeral key, the session key, the tag
# Processes whose session keys are remembered; one that is forgotten gets another session key.
_MOST_PEERS: Final = 64


class ReplyUnopened(Exception):
    """The reply was altered, or was sealed to another key or for another request. Carries no detail."""


class ReplySealer:
    """Seals replies in the process that answers."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, tuple[bytes, AESGCM]] = OrderedDict()

    def seal(self, reply: bytes, key: str, number: str) -> str:
        """Return the sealed reply. key: from the request, base64url. Raises ValueError for a bad one."""
        sealed_session, session = self._session(key)
        nonce = token_bytes(IV)
        return encoded(sealed_session + nonce + session.encrypt(nonce, reply, _bound(number)))

    def _session(self, key: str) -> tuple[bytes, AESGCM]:
        known = self._sessions.get(key)
        if known is None:
            secret = token_bytes(CONTENT_KEY)
            public = X25519PublicKey.from_public_bytes(decoded(key))
            known = self._sessions[key] = _SUITE.encrypt(secret, public, info=_PURPOSE), AESGCM(secret)
            if len(self._sessions) > _MOST_PEERS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(key)
        return known


class ReplyOpener:
    """Opens replies in the process that asked. key: the public half of its key pair, base64url."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.key = encoded(self._private.public_key().public_bytes_raw())
        self._sessions: OrderedDict[bytes, AESGCM] = OrderedDict()

    def open(self, sealed: str, number: str) -> bytes:
        """Return the reply. Raises ReplyUnopened."""
        try:
            data = decoded(sealed)
            session = self._session(data[:_SESSION])
            return session.decrypt(data[_SESSION : _SESSION + IV], data[_SESSION + IV :], _bound(number))
        except (InvalidTag, ValueError):
            raise ReplyUnopened from None

    def _session(self, sealed: bytes) -> AESGCM:
        known = self._sessions.get(sealed)
        if known is None:
            known = AESGCM(_SUITE.decrypt(sealed, self._private, info=_PURPOSE))
            self._sessions[sealed] = known
            if len(self._sessions) > _MOST_PEERS:
                self._sessions.popitem(last=False)
        return known


def _bound(number: str) -> bytes:
    return b"\n".join((_PURPOSE, number.encode()))
