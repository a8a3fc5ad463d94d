"""Assembly of the directory service."""

from __future__ import annotations

from pathlib import Path

import orjson
from prometheus_client import Gauge

from contracts.envelope import decode
from runtime.access.signer import TokenSigner
from runtime.access.tokens import TokenVerifier, issuer_of
from runtime.application import Application
from runtime.background import Spawn
from runtime.service_platform import build_platform
from runtime.settings import Settings, SettingsError
from services.directory.adapters.approvals import SqlApprovalStore
from services.directory.adapters.challenge_sealing import sealed_answer
from services.directory.adapters.register import SqlRegister
from services.directory.adapters.request_proofs import SqlProofKeyStore, read_proof
from services.directory.adapters.sealing_keys import SqlSealingKeyStore
from services.directory.adapters.service_index import SqlServiceIndex
from services.directory.adapters.tables import MESSAGING
from services.directory.domain.approval import Policy
from services.directory.domain.entry import TokenKey
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.access import RegisteredAccess
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.credentials import Credentials
from services.directory.handlers.entries import Entries
from services.directory.handlers.ledger import Ledger
from services.directory.handlers.listings import Listings
from services.directory.handlers.request_proofs import RequestProofs
from services.directory.handlers.role_report import RoleReport
from services.directory.handlers.sealing_keys import SealingKeys
from services.directory.handlers.service_approvals import ServiceApprovals
from services.directory.handlers.snapshots import Snapshots
from services.directory.handlers.suspensions import Suspensions
from services.directory.handlers.tokens import TokenIssuer


class KeyAnnouncement:
    """Publishes the token signing key at start-up (`application.Background`)."""

    def __init__(self, entries: Entries, key: TokenKey, by: str) -> None:
        self._entries = entries
        self._key = key
        self._by = by

    def start(self, _spawn: Spawn) -> None:
        """Publish the key. Writes at most one row and its event."""
        self._entries.announce(self._key, by=self._by)

    def stop(self) -> None:
        """Do nothing: no task is running."""


def build(settings: Settings) -> Application[DirectoryHandlers]:
    """Build the directory application. Raises SettingsError without a usable signing key."""
    signer = TokenSigner(_private_jwk(settings.token_signing_key), issuer_of(settings.hub))
    platform = build_platform("directory", settings, MESSAGING)
    messenger = platform.messenger
    register = SqlRegister()
    index = SqlServiceIndex()
    keys = SqlSealingKeyStore()
    ledger = Ledger(
        database=platform.database,
        register=register,
        index=index,
        keys=keys,
        outbox=messenger.outbox,
        source=platform.source,
        clock=platform.clock,
        committed=messenger.wake,
    )
    policy = Policy(settings.approvals)
    proofs = RequestProofs(
        database=platform.database,
        register=register,
        store=SqlProofKeyStore(),
        read=read_proof,
        policy=policy,
        clock=platform.clock,
    )
    approvals = Approvals(ledger, SqlApprovalStore(), policy)
    entries = Entries(ledger, approvals)
    access = RegisteredAccess(database=platform.database, register=register)
    snapshots = Snapshots(register, platform.source)
    handlers = DirectoryHandlers(
        tokens=TokenIssuer(
            database=platform.database,
            register=register,
            signer=signer,
            proofs=proofs,
            clock=platform.clock,
        ),
        proofs=proofs,
        listings=Listings(database=platform.database, register=register, index=index),
        entries=entries,
        approvals=approvals,
        credentials=Credentials(ledger, approvals),
        keys=SealingKeys(ledger, keys, approvals, sealed_answer),
        service_approvals=ServiceApprovals(ledger, approvals),
        suspensions=Suspensions(ledger),
        requests=messenger.consumer("directory.requests", snapshots.answer, decode),
        clock=platform.clock,
    )
    mixed = Gauge(
        "kopuro_directory_mixed_roles",
        "Principals whose clients break the separation of roles",
        registry=platform.registry,
    )
    roles = RoleReport(database=platform.database, register=register, count=mixed.set)
    key = signer.public_jwk()
    own_keys = {"keys": [key]}
    return Application(
        name="directory",
        settings=settings,
        database=platform.database,
        handlers=handlers,
        # The directory signs the tokens, so it needs no replica of the keys.
        verifier=TokenVerifier(
            lambda: own_keys, issuer_of(settings.hub), platform.clock, clients=access.client
        ),
        is_excluded=access.is_excluded,
        messenger=messenger,
        readiness=[("broker", messenger.unready)],
        warnings=[*platform.warnings(), ("roles", roles.alarm)],
        background=[
            KeyAnnouncement(entries, TokenKey(id=signer.kid, key=key), platform.source),
            roles,
            messenger,
        ],
        registry=platform.registry,
        clock=platform.clock,
    )


def _private_jwk(file: Path | None) -> dict[str, object]:
    if file is None:
        raise SettingsError(["KOPURO_TOKEN_SIGNING_KEY is not set"])
    try:
        jwk = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        jwk = None
    if not isinstance(jwk, dict) or jwk.get("crv") != "Ed25519" or "d" not in jwk:
        raise SettingsError(["KOPURO_TOKEN_SIGNING_KEY must name a file with a private Ed25519 JWK"])
    return jwk
