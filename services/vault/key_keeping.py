"""Keeps the vault's own keys: makes new transit keys, and destroys keys that nothing needs any more.

The crash points, in order. None of them loses a case, because a key exists before anything is sealed with it
and is destroyed after everything that is sealed with it has been read or deleted:

1. *key made, not published*: the next run publishes it (`_adopt`).
2. *key published, not adopted by intake*: intake uses the earlier key, which is kept.
3. *case stored, message not acknowledged*: the message comes again; the inbox recognises it.
4. *case key made, case not stored*: the message comes again and gets another key. This one opens nothing. It
   is counted and kept: a database that was restored, or named by mistake, would make every key look so.
5. *case erased, its key not destroyed*: the next run destroys it.
6. *transit key destroyed, not recorded*: the next run records and announces it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from contracts.envelope import Event
from contracts.facts import Fact, TransitKeyDestroyed, TransitKeyPublished
from runtime import transit_seal
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.periodic import Periodic
from runtime.settings import SettingsError
from runtime.storage.change_poll import LONGEST_SECONDS, ChangePoll
from runtime.storage.database import Database
from services.vault.domain.quiet_window import QuietWindow, WaitingForVault
from services.vault.domain.transit import TransitKey, is_next_due, next_published_at, spent
from services.vault.ports import CustodyStore, KeyKind, KeyStore, TransitKeyStore

_log = logging.getLogger(__name__)

ORPHANED = dt.timedelta(days=1)
# Cases or keys in one transaction.
_MOST = 200
_SECONDS_BETWEEN_RUNS = 1.0
_BETWEEN_SWEEPS = dt.timedelta(minutes=10)
# A transit key older than this is worth an operator's look.
_UNUSUAL = dt.timedelta(days=2)


class KeyKeeping:
    """Keeps the vault's keys (`application.Background`)."""

    def __init__(
        self,
        *,
        source: str,
        database: Database,
        outbox: Outbox,
        store: CustodyStore,
        transit_keys: TransitKeyStore,
        keys: KeyStore,
        clock: Clock,
        new_id: Callable[[], str],
        period: dt.timedelta,
        waiting: Callable[[], WaitingForVault | None],
        after_commit: Callable[[], None],
        is_new: bool = False,
    ) -> None:
        """period: of a transit key. is_new: whether the key store was created at this start.

        waiting: returns what waits for the vault, None while the broker is unavailable.
        """
        self._source = source
        self._database = database
        self._outbox = outbox
        self._store = store
        self._transit_keys = transit_keys
        self._keys = keys
        self._clock = clock
        self._new_id = new_id
        self._period = period
        self._waiting = waiting
        self._after_commit = after_commit
        self._is_new = is_new
        self._earlier_are_sealed = False
        self._quiet = QuietWindow()
        self._made_at: dt.datetime | None = None
        self._unused = 0
        self._swept_at: dt.datetime | None = None
        self._truncated = True
        self._changes = 0
        self._oldest: dt.datetime | None = None
        self._awaits_a_time = True
        self._periodic = Periodic(
            "key keeping", ChangePoll(database, self.turn), seconds=_SECONDS_BETWEEN_RUNS
        )

    def start(self, spawn: Spawn) -> None:
        """Start the periodic runs.

        Raises SettingsError when the key store is new although the database needs keys: the vault would
        dead-letter every case that is accepted.
        """
        if self._is_new:
            with self._database.read() as transaction:
                needed = self._store.needs_keys(transaction) or self._transit_keys.all(transaction)
            if needed:
                raise SettingsError(
                    ["KOPURO_VAULT_KEYS names a new file; the database has cases sealed with keys of another"]
                )
        self._periodic.start(spawn)

    def stop(self) -> None:
        """Stop after the current run."""
        self._periodic.stop()

    def turn(self) -> bool:
        """Do what is due; return whether something may become due without a commit."""
        return self.run() > 0 or self._awaits_a_time

    def run(self) -> int:
        """Do what is due; return the number of keys made, published or destroyed. Raises Unavailable."""
        now = self._clock.now()
        before = self._changes
        with self._database.read() as transaction:
            keys = self._transit_keys.all(transaction)
            doomed = self._store.doomed_keys(transaction, _MOST)
        self._oldest = keys[0].published_at if keys else None
        if doomed:
            self._destroy_case_keys(doomed)
        if not self._earlier_are_sealed:
            with self._database.write() as transaction:
                self._earlier_are_sealed = self._store.seal_earlier(transaction, _MOST) < _MOST
        is_lost = False
        if self._swept_at is None or now - self._swept_at >= _BETWEEN_SWEEPS:
            self._count_unused(now)
            keys = self._adopt(keys, now)
            is_lost = bool(keys) and not self._keys.get(KeyKind.transit, [keys[-1].kid])
            self._swept_at = now
        if is_lost or is_next_due(keys, now, self._period, self._made_at):
            self._publish_next(keys, now)
            self._made_at = now
        if len(keys) > 1:
            self._destroy_spent(keys, now)
        if not self._truncated:
            self._truncated = self._keys.truncate()
        # A spent key waits for a quiet time at the broker.
        self._awaits_a_time = (
            len(keys) > 1
            or not (self._truncated and self._earlier_are_sealed)
            or is_next_due(keys, now + dt.timedelta(seconds=LONGEST_SECONDS), self._period, self._made_at)
        )
        return self._changes - before

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: an old transit key still opens copies of messages that were read."""
        if self._oldest is None or self._clock.now() - self._oldest < max(_UNUSUAL, 2 * self._period):
            return None
        return (
            f"the transit key of {self._oldest:%Y-%m-%d %H:%M} UTC cannot be destroyed: messages sealed to it"
            " are in intake's outbox, at the broker or among the dead letters of vault.sealed, or one was"
            " discarded"
        )

    def _publish_next(self, keys: list[TransitKey], now: dt.datetime) -> None:
        kid, _, secret = transit_seal.generate()
        self._keys.add(KeyKind.transit, {kid: secret}, now)
        self._publish(TransitKey(kid=kid, published_at=next_published_at(keys, now)), secret, now)

    def _publish(self, key: TransitKey, secret: bytes, now: dt.datetime) -> None:
        _, x = transit_seal.public_half(secret)
        published = TransitKeyPublished(kid=key.kid, x=x, published_at=key.published_at)
        with self._database.write() as transaction:
            self._transit_keys.add(transaction, key)
            self._outbox.add(transaction, [outgoing(self._event(published, key.kid, now))])
        self._changes += 1
        self._after_commit()

    def _destroy_spent(self, keys: list[TransitKey], now: dt.datetime) -> None:
        quiet_since = self._quiet.observe(self._waiting(), now)
        republished = [key.kid for key in keys if self._is_republished(key)]
        for key in spent(
            keys, now, settle=self._period / 12, quiet_since=quiet_since, republished=republished
        ):
            self._destroy(KeyKind.transit, [key.kid])
            destroyed = TransitKeyDestroyed(kid=key.kid, messages=key.opened)
            with self._database.write() as transaction:
                self._transit_keys.remove(transaction, key.kid)
                self._outbox.add(transaction, [outgoing(self._event(destroyed, key.kid, now))])
            self._after_commit()

    def _is_republished(self, key: TransitKey) -> bool:
        return key.kid in self._keys.made_before(KeyKind.transit, key.published_at - _BETWEEN_SWEEPS / 2)

    def _destroy_case_keys(self, doomed: list[str]) -> None:
        self._destroy(KeyKind.case, doomed)
        with self._database.write(durable=False) as transaction:
            self._store.forget_doomed(transaction, doomed)

    def _destroy(self, kind: KeyKind, ids: list[str]) -> None:
        self._keys.destroy(kind, ids)
        if kind is KeyKind.transit:
            transit_seal.forget()
        self._changes += len(ids)
        self._truncated = False

    def _count_unused(self, now: dt.datetime) -> None:
        """Log the number of case keys without a case. They are kept: the database may be the wrong one."""
        old = self._keys.made_before(KeyKind.case, now - ORPHANED)
        with self._database.read() as transaction:
            unused = len(self._store.unused_keys(transaction, old))
        if unused != self._unused:
            self._unused = unused
            _log.warning("case keys without a case in the database", extra={"keys": unused})

    def _adopt(self, keys: list[TransitKey], now: dt.datetime) -> list[TransitKey]:
        """Publish transit keys that the database does not know; return all keys, oldest first.

        A crash left them unpublished, or an older database was restored: then messages sealed to them may
        wait, so they are not deleted.
        """
        known = {key.kid for key in keys}
        # Another process may be about to publish a younger key.
        stored = self._keys.made_before(KeyKind.transit, now - _BETWEEN_SWEEPS)
        secrets = self._keys.get(KeyKind.transit, [kid for kid in stored if kid not in known])
        for kid, secret in secrets.items():
            key = TransitKey(kid=kid, published_at=next_published_at(keys, now))
            self._publish(key, secret, now)
            keys = [*keys, key]
        return keys

    def _event(self, fact: Fact, kid: str, now: dt.datetime) -> Event[Fact]:
        id_ = self._new_id()
        return Event(
            id=id_,
            source=self._source,
            time=now,
            partition_key=kid,
            correlation_id=id_,
            causation_id=None,
            traceparent=None,
            data=fact,
        )
