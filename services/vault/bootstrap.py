"""Composition of the vault process; the only place that chooses adapters."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.envelope import Envelope, Event, decode
from contracts.facts import Fact
from runtime.access.tokens import TokenVerifier, issuer_of
from runtime.application import Application
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.periodic import Periodic
from runtime.service_platform import build_platform
from runtime.settings import Settings, SettingsError
from services.vault.adapters.custody_key import CustodyKeyInMemory
from services.vault.adapters.decline_notes import SqlDeclineNotes
from services.vault.adapters.metrics import VaultMetrics
from services.vault.adapters.sealing_keys import SealingKeysInMemory
from services.vault.adapters.store import SqlCustodyStore
from services.vault.adapters.tables import MESSAGING, REPLICA
from services.vault.domain.evidence import ProvenEvent, with_proof
from services.vault.handlers import VaultHandlers

# Each run reads one small index. A new key wakes it; the interval covers acceptances committed at the same
# moment or by another process.
_SECONDS_BETWEEN_RELEASES = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultParts:
    """The objects that the service's entrypoints call."""

    sealed_messages: BatchProcessor[Event[Fact]]
    events: BatchProcessor[ProvenEvent]
    directory: BatchProcessor[Envelope]


def build(settings: Settings) -> Application[VaultParts]:
    """Build the vault process. Raises SettingsError without a usable custody key."""
    if settings.custody_key is None:
        raise SettingsError(["KOPURO_CUSTODY_KEY is not set"])
    try:
        custody_key = CustodyKeyInMemory.read(settings.custody_key)
    except (OSError, ValueError):
        # Not chained: the cause may quote the contents of the key file.
        raise SettingsError(["KOPURO_CUSTODY_KEY does not name a private X25519 JWK"]) from None
    platform = build_platform("vault", settings, MESSAGING)
    messenger = platform.messenger
    store = SqlCustodyStore()

    def release_waiting() -> None:
        # Read first: a run that finds nothing takes no lock and writes nothing.
        with platform.database.read() as transaction:
            if not handlers.releasable(transaction, platform.clock.now()):
                return
        with platform.database.write() as transaction:
            released = list(handlers.release_waiting(transaction, platform.clock.now()))
            messenger.outbox.add(transaction, released)
        if released:
            messenger.wake()

    releases = Periodic("release waiting cases", release_waiting, seconds=_SECONDS_BETWEEN_RELEASES)
    keys = SealingKeysInMemory(changed=releases.wake, pause=settings.key_pause)
    handlers = VaultHandlers(
        source=platform.source,
        store=store,
        notes=SqlDeclineNotes(),
        custody_key=custody_key,
        keys=keys,
        new_id=new_id,
    )

    def paused(now: dt.datetime) -> tuple[int, dt.datetime | None]:
        with platform.database.read() as transaction:
            return store.paused(transaction, now)

    VaultMetrics(platform.registry, paused, platform.clock)
    directory, unready = messenger.replica(REPLICA, "vault.directory", keys.absorb)
    return Application(
        name="vault",
        settings=settings,
        database=platform.database,
        handlers=VaultParts(
            sealed_messages=messenger.consumer("vault.sealed", handlers.sealed_messages, decode),
            events=messenger.consumer(
                "vault.events", handlers.events, ProvenEvent.decode, keep_proof=with_proof
            ),
            directory=directory,
        ),
        # The vault has no resources that take tokens, so it trusts no token key.
        verifier=TokenVerifier(
            lambda: {"keys": []}, issuer_of(settings.hub), platform.clock, clients=lambda _: None
        ),
        is_excluded=lambda _: True,
        messenger=messenger,
        readiness=[("broker", messenger.unready), ("directory", unready)],
        warnings=platform.warnings(),
        background=[messenger, releases, platform.wal_checkpointing()],
        registry=platform.registry,
        clock=platform.clock,
    )
