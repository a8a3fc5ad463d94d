"""The log's private keys, from the file that KOPURO_LOG_SIGNING_KEY names."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from contracts.errors import Defect
from runtime.private_keys import WatchedKeys, private_keys
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import Head, LogKey, origin_of
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Signer

_log = logging.getLogger(__name__)


class LogKeyFile:
    """The keys in a file, which is read again when it has changed (`domain.head.CheckpointKeys`).

    A changed file replaces the keys only if it has the present one: what the log has signed must stay
    verifiable by a key that it has. Otherwise, and while the file is unusable, the present keys stay in use.
    """

    def __init__(self, file: Path | None, hub: str) -> None:
        """Raises Defect, which quotes nothing."""
        self._hub = hub
        self._keys = load_log_key(file, hub)
        assert file is not None
        self._file = WatchedKeys(file)
        self._file.changed()

    @property
    def origin(self) -> str:
        """See `domain.head.LogKey`."""
        return self._keys.origin

    @property
    def verifier_key(self) -> str:
        """See `domain.head.LogKey`."""
        return self._present().verifier_key

    def verifier_key_of(self, checkpoints: Sequence[bytes]) -> str:
        """See `domain.head.LogKey`."""
        return self._present().verifier_key_of(checkpoints)

    def sign(self, frontier: Frontier, chronology: Chronology, now: dt.datetime) -> Head:
        """See `domain.head.LogKey`."""
        return self._present().sign(frontier, chronology, now)

    def read(self, checkpoint: bytes) -> Checkpoint:
        """See `domain.head.LogKey`."""
        return self._present().read(checkpoint)

    def _present(self) -> LogKey:
        try:
            found = self._file.changed()
            if found is not None:
                self._replace(_log_key(found, self._hub))
        except (OSError, ValueError) as fault:
            # The cause may quote the file.
            _log.warning("key file unusable", extra={"reason": type(fault).__name__})
        except Defect as fault:
            _log.warning("key file unusable", extra={"reason": fault.detail})
        return self._keys

    def _replace(self, keys: LogKey) -> None:
        if self._keys.verifier_key not in {one.verifier.format() for one in (keys.signer, *keys.earlier)}:
            raise Defect("The file in KOPURO_LOG_SIGNING_KEY lacks the present key.")
        self._keys = keys
        _log.info("the log key is %s", keys.verifier_key, extra={"count": 1 + len(keys.earlier)})


def load_log_key(file: Path | None, hub: str) -> LogKey:
    """Return the keys in a file (RFC 8037), the present one first. Raises Defect, which quotes nothing."""
    if file is None:
        raise Defect("KOPURO_LOG_SIGNING_KEY is not set: the service needs a key to sign the log.")
    try:
        found = private_keys(file)
    except (OSError, ValueError):
        raise Defect("The file in KOPURO_LOG_SIGNING_KEY is missing or not a JWK.") from None
    return _log_key(found, hub)


def _log_key(found: Sequence[dict[str, Any]], hub: str) -> LogKey:
    try:
        keys = [OKPKey.import_key(key).private_key for key in found]
    except (ValueError, TypeError, KeyError, JoseError):
        raise Defect("The file in KOPURO_LOG_SIGNING_KEY is missing or not a JWK.") from None
    signers = [
        Ed25519Signer(name=origin_of(hub), private_key=key)
        for key in keys
        if isinstance(key, Ed25519PrivateKey)
    ]
    if len(signers) != len(keys):
        raise Defect("A JWK in KOPURO_LOG_SIGNING_KEY is not a private Ed25519 key.")
    return LogKey(signer=signers[0], earlier=tuple(signers[1:]))
