"""The vault's transit key and the number of messages sealed to it, in intake's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Unavailable
from contracts.facts import (
    Fact,
    SealedCaseReplaced,
    SealedCaseSubmitted,
    SealedNoteSubmitted,
    TransitKeyPublished,
)
from runtime import transit_seal
from runtime.storage.columns import microseconds
from runtime.storage.database import Database
from runtime.storage.sql_statement import SqlStatement
from services.intake.domain.admission import Admission

# Shared with other processes that seal, and exclusive of the replacement of the key: when a replacement has
# committed, no transaction can add another message for the key that it removed.
_CURRENT = SqlStatement(
    "SELECT kid, x FROM transit_keys WHERE published_at >= ? ORDER BY published_at DESC LIMIT 1",
    postgresql="FOR SHARE",
)
_NEWEST = SqlStatement("SELECT max(published_at) FROM transit_keys")
# The vault publishes a key again when it does not know whether it did.
_ADD = SqlStatement(
    "INSERT INTO transit_keys (kid, x, published_at) VALUES (?, ?, ?)"
    " ON CONFLICT (kid) DO UPDATE SET published_at = excluded.published_at"
)
_REMOVE_OLDER = SqlStatement("DELETE FROM transit_keys WHERE published_at < ? RETURNING kid")
# One row for each process, so that processes do not wait for each other's commits.
_COUNT = SqlStatement(
    "INSERT INTO transit_counts (kid, process, messages) VALUES (?, ?, ?)"
    " ON CONFLICT (kid, process) DO UPDATE SET messages = transit_counts.messages + excluded.messages"
)
_COUNTED = SqlStatement("SELECT coalesce(sum(messages), 0) FROM transit_counts WHERE kid = ?")
_FORGET_COUNTS = SqlStatement("DELETE FROM transit_counts WHERE kid = ?")

_EVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_Sealed = SealedCaseSubmitted | SealedCaseReplaced | SealedNoteSubmitted


def trusted_age(period: dt.timedelta) -> dt.timedelta:
    """Return how long after its publication the vault keeps a transit key at least.

    period: of the vault's keys. It keeps each for a period and then for a twelfth of one.
    """
    return period * 13 / 12


class SqlTransitKeys:
    """See `ports.TransitKeys`."""

    def __init__(self, database: Database, process: str, *, trusted_since: dt.datetime = _EVER) -> None:
        """process: an id of this process, for its own count.

        trusted_since: a key that was published earlier is not used. The database may be a restored one, and
        the vault may have destroyed the key since; it keeps every key for `trusted_age` at least.
        """
        self._database = database
        self._process = process
        self._trusted_since = microseconds(trusted_since)

    def seal(self, transaction: Connection, admissions: Sequence[Admission]) -> list[Admission]:
        """See `ports.TransitKeys`."""
        number = sum(isinstance(event.data, _Sealed) for one in admissions for event in one.events)
        if not number:
            return list(admissions)
        kid, x = self._current(transaction)
        _COUNT.run(transaction, kid, self._process, number)
        return [replace(one, events=tuple(_sealed(event, x) for event in one.events)) for one in admissions]

    def adopt(self, transaction: Connection, keys: Collection[TransitKeyPublished]) -> list[tuple[str, int]]:
        """See `ports.TransitKeys`."""
        newest = max(keys, key=lambda key: key.published_at)
        published_at = microseconds(newest.published_at)
        known = _NEWEST.run(transaction).scalar_one()
        # An older key was replaced while intake was not running; intake has never used it.
        closed = {key.kid for key in keys if key.kid != newest.kid}
        if known is None or known < published_at:
            _ADD.run(transaction, newest.kid, newest.x, published_at)
            closed |= {kid for (kid,) in _REMOVE_OLDER.run(transaction, published_at)}
        elif known > published_at:
            closed.add(newest.kid)
        closed -= {kid for kid, _ in _CURRENT.run(transaction, microseconds(_EVER))}
        counts = []
        for kid in sorted(closed):
            counts.append((kid, int(_COUNTED.run(transaction, kid).scalar_one())))
            _FORGET_COUNTS.run(transaction, kid)
        return counts

    def unready(self) -> str | None:
        """Readiness check: return None once a transit key is known, else the reason."""
        with self._database.read() as transaction:
            known = _NEWEST.run(transaction).scalar_one()
        if known is None:
            return "the vault has not published a transit key yet"
        if known < self._trusted_since:
            return "the vault has published no transit key lately: it may have destroyed the last one"
        return None

    def _current(self, transaction: Connection) -> tuple[str, str]:
        # The first attempt finds nothing when it waited for the replacement of the key; the second one finds
        # the new key.
        for _ in range(2):
            for kid, x in _CURRENT.run(transaction, self._trusted_since):
                return kid, x
        raise Unavailable("The vault has not published a key for sealed messages yet. Try again later.")


def _sealed(event: Event[Fact], x: str) -> Event[Fact]:
    match event.data:
        case SealedCaseSubmitted() | SealedCaseReplaced() as fact:
            key, rest = transit_seal.seal(fact.case, x, fact.referral_id)
            return replace(event, data=replace(fact, case=rest, transit=key))
        case SealedNoteSubmitted() as fact:
            key, rest = transit_seal.seal(fact.note, x, fact.referral_id)
            return replace(event, data=replace(fact, note=rest, transit=key))
        case _:
            return event
