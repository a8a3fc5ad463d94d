"""Transit keys in the vault's database, and the opening of messages that were sealed to them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, select

from contracts.envelope import Event
from contracts.errors import Defect
from contracts.facts import Fact, SealedCaseReplaced, SealedCaseSubmitted, SealedNoteSubmitted, TransitSeal
from runtime import transit_seal
from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.vault.adapters.tables import TRANSIT_KEYS
from services.vault.domain.transit import TransitKey
from services.vault.ports import KeyKind, KeyStore

_ADD = SqlStatement(
    "INSERT INTO transit_keys (kid, published_at, opened) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
)
_COUNT = SqlStatement("UPDATE transit_keys SET opened = opened + ? WHERE kid = ?")
_CLOSE = SqlStatement("UPDATE transit_keys SET sealed = ?, closed_at = ? WHERE kid = ? AND closed_at IS NULL")


class SqlTransitKeyStore:
    """See `ports.TransitKeyStore`."""

    def add(self, transaction: Connection, key: TransitKey) -> None:
        """See `ports.TransitKeyStore`."""
        _ADD.run(transaction, key.kid, microseconds(key.published_at))

    def all(self, transaction: Connection) -> list[TransitKey]:
        """See `ports.TransitKeyStore`."""
        rows = transaction.execute(select(TRANSIT_KEYS).order_by(TRANSIT_KEYS.c.published_at))
        return [TransitKey(**row) for row in rows.mappings()]

    def count_opened(self, transaction: Connection, opened: Mapping[str, int]) -> None:
        """See `ports.TransitKeyStore`."""
        _COUNT.run_for_each(transaction, [(number, kid) for kid, number in sorted(opened.items())])

    def close(self, transaction: Connection, kid: str, messages: int, now: dt.datetime) -> None:
        """See `ports.TransitKeyStore`."""
        _CLOSE.run(transaction, messages, microseconds(now), kid)

    def remove(self, transaction: Connection, kid: str) -> None:
        """See `ports.TransitKeyStore`."""
        transaction.execute(delete(TRANSIT_KEYS).where(TRANSIT_KEYS.c.kid == kid))


class TransitOpener:
    """See `ports.MessageOpener`."""

    def __init__(self, keys: KeyStore, store: SqlTransitKeyStore) -> None:
        self._keys = keys
        self._store = store

    def opened(self, transaction: Connection, messages: Sequence[Event[Fact]]) -> list[Event[Fact]]:
        """See `ports.MessageOpener`."""
        kids = Counter(seal.kid for message in messages if (seal := _seal_of(message)) is not None)
        if not kids:
            return list(messages)
        secrets = self._keys.get(KeyKind.transit, kids)
        opened = [_opened(message, secrets) for message in messages]
        self._store.count_opened(transaction, kids)
        return opened


def _seal_of(message: Event[Fact]) -> TransitSeal | None:
    match message.data:
        case SealedCaseSubmitted() | SealedCaseReplaced() | SealedNoteSubmitted() as fact:
            return fact.transit
        case _:
            return None


def _opened(message: Event[Fact], secrets: Mapping[str, bytes]) -> Event[Fact]:
    match message.data:
        case SealedCaseSubmitted(transit=TransitSeal()) | SealedCaseReplaced(transit=TransitSeal()) as fact:
            compact = _jwe(fact.transit, fact.case, fact.referral_id, secrets)
            return replace(message, data=replace(fact, case=compact, transit=None))
        case SealedNoteSubmitted(transit=TransitSeal()) as note:
            compact = _jwe(note.transit, note.note, note.referral_id, secrets)
            return replace(message, data=replace(note, note=compact, transit=None))
        case _:
            return message


def _jwe(seal: TransitSeal | None, rest: str, referral_id: str, secrets: Mapping[str, bytes]) -> str:
    assert seal is not None
    secret = secrets.get(seal.kid)
    if secret is None:
        raise Defect("The key store does not have the transit key of this message.")
    try:
        return transit_seal.open_sealed(seal, rest, secret, referral_id)
    except transit_seal.TransitUnopened:
        raise Defect("This message does not open with its transit key.") from None
