"""The keys that sign access tokens: the present one, and an earlier one while a rotation lasts.

A new key is announced to all services before it signs, and an earlier one stays announced until it is removed
from the file. So every token can be verified everywhere at every moment.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from runtime.access.signer import TokenSigner
from runtime.access.tokens import JwkSet
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.private_keys import WatchedKeys
from services.directory.domain.entry import TokenKey

_log = logging.getLogger(__name__)

# Time in which every service gets a new key. Without its broker, a service admits the tokens later.
ANNOUNCED: Final = dt.timedelta(seconds=10)


class SigningKeys:
    """The keys in a file, which is read again after a change (`application.Background`)."""

    def __init__(
        self,
        file: Path,
        signer_of: Callable[[dict[str, Any]], TokenSigner],
        announce: Callable[[Sequence[TokenKey]], Collection[str]],
        clock: Clock,
    ) -> None:
        """signer_of: raises ValueError for another key than a private Ed25519 JWK.

        announce: publishes the keys, withdraws all others, and returns the ids of those that are new.
        Raises OSError and ValueError for an unusable file.
        """
        self._file = WatchedKeys(file)
        self._signer_of = signer_of
        self._announce = announce
        self._clock = clock
        self._signers: tuple[TokenSigner, ...] = ()
        # When the first key begins to sign.
        self._from = clock.now()
        self._set: JwkSet = {"keys": []}
        self._is_published = False
        self._read()

    def signer(self) -> TokenSigner:
        """Return the key that signs now."""
        is_new = len(self._signers) > 1 and (not self._is_published or self._clock.now() < self._from)
        return self._signers[1 if is_new else 0]

    def public(self) -> JwkSet:
        """Return the public keys of all tokens that are accepted, as a JWK set (RFC 7517 §5)."""
        return self._set

    def start(self, _spawn: Spawn) -> None:
        """Publish the keys. Writes at most a row and an event for each."""
        self._publish()

    def stop(self) -> None:
        """Do nothing: no task is running."""

    def look(self) -> None:
        """Read the file again if it has changed, and publish its keys. Keeps the present ones on a fault.

        Keys that could not be published are published by the next call: otherwise the other services would
        admit the tokens of a stolen key that the file does not have any more. Raises what `announce` raises.
        """
        try:
            self._read()
        except (OSError, ValueError) as fault:
            # The cause may quote the file.
            _log.warning("key file unusable", extra={"reason": type(fault).__name__})
            return
        if not self._is_published:
            self._publish()

    def _read(self) -> None:
        keys = self._file.changed()
        if keys is None:
            return
        signers = tuple(self._signer_of(key) for key in keys)
        if self._signers and signers[0].kid != self._signers[0].kid:
            self._from = self._clock.now() + ANNOUNCED
        self._signers = signers
        self._set = {"keys": [signer.public_jwk() for signer in signers]}
        self._is_published = False

    def _publish(self) -> None:
        keys = [TokenKey(id=signer.kid, key=signer.public_jwk()) for signer in self._signers]
        if self._signers[0].kid in self._announce(keys):
            self._from = self._clock.now() + ANNOUNCED
        self._is_published = True
