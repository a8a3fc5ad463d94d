"""Puts the directory together."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.envelope import decode
from runtime.access.signer import TokenSigner
from runtime.access.tokens import TokenVerifier, issuer_of
from runtime.application import Application
from runtime.background import Spawn
from runtime.service_platform import build_platform
from runtime.settings import Settings, SettingsError
from services.directory.adapters.register import SqlRegister
from services.directory.adapters.service_index import SqlServiceIndex
from services.directory.adapters.tables import MESSAGING
from services.directory.domain.entry import TokenKey
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.entries import Entries
from services.directory.handlers.listings import Listings
from services.directory.handlers.snapshots import Snapshots
from services.directory.handlers.tokens import TokenIssuer


class KeyAnnouncement:
    """Tells the network at start of the key that tokens are signed with (`application.Background`)."""

    def __init__(self, entries: Entries, key: TokenKey, by: str) -> None:
        self._entries = entries
        self._key = key
        self._by = by

    def start(self, _spawn: Spawn) -> None:
        """See `application.Background`. Writes at most one row and its event."""
        self._entries.announce(self._key, by=self._by)

    def stop(self) -> None:
        """Nothing runs."""


def build(settings: Settings) -> Application[DirectoryHandlers]:
    """Raises SettingsError where there is no usable signing key."""
    signer = TokenSigner(_private_jwk(settings.token_signing_key), issuer_of(settings.hub))
    laid = build_platform("directory", settings, MESSAGING)
    messenger = laid.messenger
    register = SqlRegister()
    index = SqlServiceIndex()
    entries = Entries(
        database=laid.database,
        register=register,
        index=index,
        outbox=messenger.outbox,
        source=laid.source,
        clock=laid.clock,
        committed=messenger.wake,
    )
    snapshots = Snapshots(register, laid.source)
    handlers = DirectoryHandlers(
        tokens=TokenIssuer(database=laid.database, register=register, signer=signer, clock=laid.clock),
        listings=Listings(database=laid.database, register=register, index=index),
        entries=entries,
        requests=messenger.consumer("directory.requests", snapshots.answer, decode),
        clock=laid.clock,
    )
    key = signer.public_jwk()
    own_keys = {"keys": [key]}
    return Application(
        name="directory",
        settings=settings,
        database=laid.database,
        handlers=handlers,
        # We sign the tokens: no copy of the keys is needed to know our own.
        verifier=TokenVerifier(lambda: own_keys, issuer_of(settings.hub), laid.clock),
        messenger=messenger,
        readiness=[("broker", messenger.unready)],
        warnings=laid.warnings(),
        background=[KeyAnnouncement(entries, TokenKey(id=signer.kid, key=key), laid.source), messenger],
        registry=laid.registry,
        clock=laid.clock,
    )


def _private_jwk(file: Path | None) -> dict[str, object]:
    if file is None:
        raise SettingsError(["KOPURO_TOKEN_SIGNING_KEY is not set"])
    try:
        jwk = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        jwk = None
    if not isinstance(jwk, dict) or jwk.get("crv") != "Ed25519" or "d" not in jwk:
        raise SettingsError(["KOPURO_TOKEN_SIGNING_KEY does not name a private Ed25519 JWK"])
    return jwk
