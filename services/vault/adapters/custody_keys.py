"""The hub's custody keys: the present one, and earlier ones to which cases in custody are still sealed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contracts.errors import Unavailable
from contracts.organization import SealingKey
from runtime.private_keys import WatchedKeys
from services.vault.adapters.custody_key import CustodyKeyInMemory
from services.vault.domain.sealed import SealedCase

_log = logging.getLogger(__name__)


class CustodyKeyRing:
    """See `ports.CustodyKeys`. Looks for changed keys when a case names one that it does not have yet."""

    def __init__(self, changed: Callable[[], Sequence[dict[str, Any]] | None]) -> None:
        """changed: returns private X25519 JWKs, or None if they are those of the last call.

        Raises what it raises, and ValueError for another key.
        """
        self._changed = changed
        self._by_kid: dict[str, CustodyKeyInMemory] = {}
        self._refresh()

    @classmethod
    def in_file(cls, file: Path) -> CustodyKeyRing:
        """Return the keys of a file, which may change. Raises OSError, and ValueError for another file."""
        return cls(WatchedKeys(file).changed)

    def has(self, kid: str) -> bool:
        """See `ports.CustodyKeys`."""
        if kid not in self._by_kid:
            try:
                self._refresh()
            except (OSError, ValueError) as fault:
                # The cause may quote the file. The keys that were read stay in use.
                _log.warning("key file unusable", extra={"reason": type(fault).__name__})
        return kid in self._by_kid

    def open(self, case: SealedCase) -> bytes:
        """See `ports.CustodyKeys`."""
        return self._of(case).open(case)

    def reseal(self, case: SealedCase, recipient: SealingKey) -> str:
        """See `ports.CustodyKeys`."""
        return self._of(case).reseal(case, recipient)

    def _of(self, case: SealedCase) -> CustodyKeyInMemory:
        kid = case.kid()
        if not self.has(kid):
            raise Unavailable("The vault does not have the custody key that the case is sealed to.")
        return self._by_kid[kid]

    def _refresh(self) -> None:
        keys = self._changed()
        if keys is not None:
            read = [CustodyKeyInMemory(key) for key in keys]
            self._by_kid = {key.kid: key for key in read}
