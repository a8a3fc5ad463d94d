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
from runtime.storage.database import DatabaseUnavailable
from services.vault.adapters.announced_key import AnnouncedKeyWatch
from services.vault.adapters.custody_keys import CustodyKeyRing
from services.vault.adapters.decline_notes import SqlDeclineNotes
from services.vault.adapters.key_store import SqliteKeyStore
from services.vault.adapters.metrics import VaultMetrics
from services.vault.adapters.sealing_keys import SealingKeysInMemory
from services.vault.adapters.store import SqlCustodyStore
from services.vault.adapters.tables import MESSAGING, REPLICA
from services.vault.adapters.transit_keys import SqlTransitKeyStore, TransitOpener
from services.vault.adapters.waiting_messages import WaitingMessages
from services.vault.domain.evidence import ProvenEvent, with_proof
from services.vault.domain.lacking_keys import lacking_keys
from services.vault.handlers import VaultHandlers
from services.vault.key_keeping import KeyKeeping

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
    """Build the vault process. Raises SettingsError without a usable custody key or key store."""
    if settings.custody_key is None:
        raise SettingsError(["KOPURO_CUSTODY_KEY is not set"])
    try:
        custody_keys = CustodyKeyRing.in_file(settings.custody_key)
    except (OSError, ValueError):
        # Not chained: the cause may quote the contents of the key file.
        raise SettingsError(["KOPURO_CUSTODY_KEY does not name a file with private X25519 JWKs"]) from None
    if settings.vault_keys is None:
        raise SettingsError(["KOPURO_VAULT_KEYS is not set"])
    try:
        own_keys = SqliteKeyStore(settings.vault_keys)
    except (DatabaseUnavailable, OSError, ValueError):
        raise SettingsError(["KOPURO_VAULT_KEYS does not name a file that the vault can write"]) from None
    platform = build_platform("vault", settings, MESSAGING)
    messenger = platform.messenger
    store = SqlCustodyStore(own_keys, platform.clock, new_id)
    transit_keys = SqlTransitKeyStore()
    waiting = WaitingMessages(platform.broker.queue_reader(), platform.database)
    keeping = KeyKeeping(
        source=platform.source,
        database=platform.database,
        outbox=messenger.outbox,
        store=store,
        transit_keys=transit_keys,
        keys=own_keys,
        clock=platform.clock,
        new_id=new_id,
        period=settings.transit_key_period,
        waiting=waiting.count,
        after_commit=messenger.wake,
        is_new=own_keys.is_new,
    )

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
        opener=TransitOpener(own_keys, transit_keys),
        transit_keys=transit_keys,
        custody_keys=custody_keys,
        keys=keys,
        new_id=new_id,
    )

    def paused(now: dt.datetime) -> tuple[int, dt.datetime | None]:
        with platform.database.read() as transaction:
            return store.paused(transaction, now)

    def without_key() -> str | None:
        with platform.database.read() as transaction:
            return lacking_keys(handlers.without_key(transaction, platform.clock.now()))

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
        warnings=[
            *platform.warnings(),
            ("transit keys", keeping.alarm),
            ("sealing keys", without_key),
            ("custody key", AnnouncedKeyWatch(settings.discovery, custody_keys.has).alarm),
        ],
        background=[*platform.background(), keeping, releases],
        spans=platform.spans,
        registry=platform.registry,
        clock=platform.clock,
    )
