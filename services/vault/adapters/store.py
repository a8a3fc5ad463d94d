"""Custodies and sealed cases in the vault's database."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from secrets import token_bytes
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from contracts.envelope import decode
from contracts.errors import Defect
from contracts.facts import AcceptanceRevoked, ReferralHandedBack
from contracts.jose import CONTENT_KEY, IV, decoded, encoded
from runtime.clock import Clock
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.vault.domain.custody import Acceptance, Custody, CustodyState
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase
from services.vault.ports import KeyKind, KeyStore

_log = logging.getLogger(__name__)

_LOCKED = "FOR UPDATE"
_CUSTODY = (
    "SELECT referral_id, state, sender, receiver, kid,"
    " acceptor, acceptance_id, correlation_id, traceparent, paused_until, offer_id, part_of, parts,"
    " replaced_by"
    " FROM custodies"
)
# changed_at 0: the row has not been changed since it was created.
_BEGIN = SqlStatement(
    "INSERT INTO custodies (referral_id, state, changed_at) VALUES (?, 'awaited', 0) ON CONFLICT DO NOTHING"
)
_TAKE = SqlStatement(f"{_CUSTODY} WHERE referral_id = ANY (?) ORDER BY referral_id", postgresql=_LOCKED)
_LINKED = SqlStatement(
    f"{_CUSTODY} WHERE referral_id = ANY (?) AND (part_of IS NOT NULL OR parts IS NOT NULL)"
)
# A case that is sealed to another organisation waits for its sender (`custody.Disposition.request`).
# The condition matches the index `custodies_waiting` (`tables.WAITING`).
_AWAITED = SqlStatement(
    "SELECT DISTINCT acceptor FROM custodies WHERE state = 'held' AND acceptor IS NOT NULL"
    " AND (receiver IS NULL OR receiver = acceptor) ORDER BY acceptor"
)
_AWAITING_RELEASE = SqlStatement(
    "SELECT acceptor, count(*) FROM custodies WHERE state = 'held' AND acceptor IS NOT NULL"
    " AND (receiver IS NULL OR receiver = acceptor) AND changed_at <= ? GROUP BY acceptor"
)
_WAITING_FOR = SqlStatement(
    "SELECT referral_id FROM custodies WHERE state = 'held' AND acceptor = ?"
    " AND (receiver IS NULL OR receiver = acceptor) ORDER BY referral_id LIMIT ?"
)
_PAUSED = SqlStatement(
    "SELECT count(*), min(changed_at) FROM custodies"
    " WHERE state = 'held' AND acceptor IS NOT NULL AND paused_until > ?"
)
_PUT = SqlStatement(
    "UPDATE custodies SET state = ?, sender = ?, receiver = ?, kid = ?, acceptor = ?, acceptance_id = ?,"
    " correlation_id = ?, traceparent = ?, offer_id = ?, paused_until = ?, part_of = ?, parts = ?,"
    " replaced_by = ?, changed_at = ?"
    " WHERE referral_id = ?"
)
_KEEP = SqlStatement(
    "INSERT INTO sealed_cases (referral_id, wrapped_key, ciphertext, key_id) VALUES (?, ?, ?, ?)"
)
_SEALED = SqlStatement(
    "SELECT referral_id, wrapped_key, ciphertext, key_id FROM sealed_cases WHERE referral_id = ANY (?)"
)
_EARLIER = SqlStatement(
    "SELECT referral_id, wrapped_key FROM sealed_cases WHERE key_id IS NULL LIMIT ?", postgresql="FOR UPDATE"
)
_SEAL_EARLIER = SqlStatement("UPDATE sealed_cases SET wrapped_key = ?, key_id = ? WHERE referral_id = ?")
_WITH_KEY = SqlStatement("SELECT 1 FROM sealed_cases WHERE key_id IS NOT NULL LIMIT 1")
_USED_KEYS = SqlStatement("SELECT key_id FROM sealed_cases WHERE key_id = ANY (?)")
_DOOM = SqlStatement(
    "INSERT INTO doomed_keys (key_id) SELECT key_id FROM sealed_cases"
    " WHERE key_id IS NOT NULL AND referral_id = ANY (?) ON CONFLICT DO NOTHING"
)
_DOOMED = SqlStatement("SELECT key_id FROM doomed_keys LIMIT ?")
_FORGET_DOOMED = SqlStatement("DELETE FROM doomed_keys WHERE key_id = ANY (?)")
_WITNESS = SqlStatement(
    "INSERT INTO evidence (referral_id, message_id, type, body, signed, acted_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_ENDS = SqlStatement("SELECT body FROM evidence WHERE referral_id = ANY (?) AND type = ANY (?)")
_DESTROY = SqlStatement("DELETE FROM sealed_cases WHERE referral_id = ANY (?)")


class SqlCustodyStore:
    """See `ports.CustodyStore`. PostgreSQL locks the rows; SQLite has only one writer.

    Each case has a key of its own in the key store, which seals `wrapped_key` (A256GCM, the referral's id as
    associated data). When that key is destroyed, no copy of the row can be opened.
    """

    def __init__(self, keys: KeyStore, clock: Clock, new_id: Callable[[], str]) -> None:
        """new_id: of case keys."""
        self._keys = keys
        self._clock = clock
        self._new_id = new_id

    def take(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Custody]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return {}
        # Rows are always locked in this order, so transactions cannot deadlock.
        ids = sorted(set(referral_ids))
        _BEGIN.run_for_each(transaction, [(referral_id,) for referral_id in ids])
        return {row[0]: _custody(*row) for row in _TAKE.run(transaction, ids)}

    def linked(self, transaction: Connection, referral_ids: Collection[str]) -> set[str]:
        """See `ports.CustodyStore`."""
        rows = _LINKED.run(transaction, sorted(referral_ids)) if referral_ids else ()
        return {id_ for row in rows for id_ in _linked_with(_custody(*row))}

    def awaited_acceptors(self, transaction: Connection) -> list[str]:
        """See `ports.CustodyStore`."""
        return [acceptor for (acceptor,) in _AWAITED.run(transaction)]

    def awaiting_release(self, transaction: Connection, until: dt.datetime) -> dict[str, int]:
        """See `ports.CustodyStore`."""
        rows = _AWAITING_RELEASE.run(transaction, microseconds(until))
        return {row[0]: row[1] for row in rows}

    def waiting_for(self, transaction: Connection, acceptor: str, limit: int) -> list[str]:
        """See `ports.CustodyStore`."""
        return [referral_id for (referral_id,) in _WAITING_FOR.run(transaction, acceptor, limit)]

    def paused(self, transaction: Connection, now: dt.datetime) -> tuple[int, dt.datetime | None]:
        """See `ports.CustodyStore`."""
        count, oldest = _PAUSED.run(transaction, microseconds(now)).one()
        return count, None if oldest is None else moment_of(oldest)

    def put(self, transaction: Connection, custodies: Iterable[Custody], now: dt.datetime) -> None:
        """See `ports.CustodyStore`."""
        changed_at = microseconds(now)
        _PUT.run_for_each(transaction, [_values(custody, changed_at) for custody in custodies])

    def keep(self, transaction: Connection, cases: Mapping[str, SealedCase]) -> None:
        """See `ports.CustodyStore`."""
        sealed = self._seal({referral_id: case.wrapped_key for referral_id, case in cases.items()})
        _KEEP.run_for_each(
            transaction,
            [
                (referral_id, wrapped_key, cases[referral_id].ciphertext, key_id)
                for referral_id, (wrapped_key, key_id) in sealed.items()
            ],
        )

    def sealed(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, SealedCase]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return {}
        rows = _SEALED.run(transaction, sorted(referral_ids)).all()
        keys = self._keys.get(KeyKind.case, [row[3] for row in rows if row[3] is not None])
        found = {}
        for referral_id, wrapped_key, ciphertext, key_id in rows:
            if key_id is not None:
                if key_id not in keys:
                    _log.error("key of a stored case missing", extra={"referral_id": referral_id})
                    continue
                wrapped_key = _opened(referral_id, wrapped_key, keys[key_id])
            found[referral_id] = SealedCase(wrapped_key=wrapped_key, ciphertext=ciphertext)
        return found

    def witness(
        self, transaction: Connection, evidence: Iterable[tuple[str, ProvenEvent]], now: dt.datetime
    ) -> None:
        """See `ports.CustodyStore`."""
        acted_at = microseconds(now)
        _WITNESS.run_for_each(
            transaction,
            [
                (referral_id, proven.id, proven.type, proven.body, proven.proof, acted_at)
                for referral_id, proven in evidence
            ],
        )

    def ended_offers(self, transaction: Connection, referral_ids: Collection[str]) -> set[str]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return set()
        rows = _ENDS.run(transaction, sorted(referral_ids), [AcceptanceRevoked.type, ReferralHandedBack.type])
        facts = [decode(bytes(body)).data for (body,) in rows]
        return {fact.offer_id for fact in facts if isinstance(fact, AcceptanceRevoked | ReferralHandedBack)}

    def destroy(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """See `ports.CustodyStore`."""
        if referral_ids:
            ids = sorted(referral_ids)
            _DOOM.run(transaction, ids)
            _DESTROY.run(transaction, ids)

    def doomed_keys(self, transaction: Connection, limit: int) -> list[str]:
        """See `ports.CustodyStore`."""
        return [key_id for (key_id,) in _DOOMED.run(transaction, limit)]

    def forget_doomed(self, transaction: Connection, key_ids: Collection[str]) -> None:
        """See `ports.CustodyStore`."""
        _FORGET_DOOMED.run(transaction, sorted(key_ids))

    def unused_keys(self, transaction: Connection, key_ids: Collection[str]) -> list[str]:
        """See `ports.CustodyStore`."""
        used = {key_id for (key_id,) in _USED_KEYS.run(transaction, sorted(key_ids))}
        return [key_id for key_id in key_ids if key_id not in used]

    def seal_earlier(self, transaction: Connection, limit: int) -> int:
        """See `ports.CustodyStore`."""
        sealed = self._seal({row[0]: row[1] for row in _EARLIER.run(transaction, limit)})
        _SEAL_EARLIER.run_for_each(
            transaction, [(wrapped_key, key_id, id_) for id_, (wrapped_key, key_id) in sealed.items()]
        )
        return len(sealed)

    def needs_keys(self, transaction: Connection) -> bool:
        """See `ports.CustodyStore`."""
        return _WITH_KEY.run(transaction).first() is not None

    def _seal(self, wrapped_keys: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Return referral id -> (sealed wrapped key, id of a new case key). The keys are stored first."""
        secrets = {referral_id: (self._new_id(), token_bytes(CONTENT_KEY)) for referral_id in wrapped_keys}
        if secrets:
            self._keys.add(KeyKind.case, dict(secrets.values()), self._clock.now())
        return {
            referral_id: (_sealed(referral_id, wrapped_keys[referral_id], secret), key_id)
            for referral_id, (key_id, secret) in secrets.items()
        }


def _sealed(referral_id: str, wrapped_key: str, secret: bytes) -> str:
    iv = token_bytes(IV)
    return encoded(iv + AESGCM(secret).encrypt(iv, wrapped_key.encode("ascii"), referral_id.encode()))


def _opened(referral_id: str, wrapped_key: str, secret: bytes) -> str:
    data = decoded(wrapped_key)
    try:
        return AESGCM(secret).decrypt(data[:IV], data[IV:], referral_id.encode()).decode("ascii")
    except InvalidTag:
        raise Defect("A stored case does not open with its key.") from None


def _linked_with(custody: Custody) -> tuple[str, ...]:
    return custody.part_ids if custody.part_of is None else (custody.part_of,)


def _custody(
    referral_id: str,
    state: str,
    sender: str | None,
    receiver: str | None,
    kid: str | None,
    acceptor: str | None,
    acceptance_id: str,
    correlation_id: str,
    traceparent: str | None,
    paused_until: int | None,
    offer_id: str | None,
    part_of: str | None,
    parts: int | None,
    replaced_by: str | None,
) -> Custody:
    acceptance = None
    if acceptor is not None:
        acceptance = Acceptance(
            organization=acceptor,
            message_id=acceptance_id,
            correlation_id=correlation_id,
            traceparent=traceparent,
            offer_id=offer_id,
        )
    return Custody(
        referral_id=referral_id,
        state=CustodyState(state),
        sender=sender,
        receiver=receiver,
        kid=kid,
        acceptance=acceptance,
        paused_until=None if paused_until is None else moment_of(paused_until),
        part_of=part_of,
        parts=parts or 0,
        replaced_by=replaced_by,
    )


def _values(custody: Custody, changed_at: int) -> tuple[Any, ...]:
    acceptance = custody.acceptance
    accepted: tuple[str | None, ...] = (None, None, None, None, None)
    if acceptance is not None:
        accepted = (
            acceptance.organization,
            acceptance.message_id,
            acceptance.correlation_id,
            acceptance.traceparent,
            acceptance.offer_id,
        )
    return (
        custody.state.value,
        custody.sender,
        custody.receiver,
        custody.kid,
        *accepted,
        None if custody.paused_until is None else microseconds(custody.paused_until),
        custody.part_of,
        custody.parts or None,
        custody.replaced_by,
        changed_at,
        custody.referral_id,
    )
