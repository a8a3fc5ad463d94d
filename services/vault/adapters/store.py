"""Custodies and sealed cases in the vault's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.vault.domain.custody import Acceptance, Custody, CustodyState
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase

_LOCKED = "FOR UPDATE"
_CUSTODY = (
    "SELECT referral_id, state, sender, receiver, kid,"
    " acceptor, acceptance_id, correlation_id, traceparent, paused_until FROM custodies"
)
# changed_at 0: the row has not been changed since it was created.
_BEGIN = SqlStatement(
    "INSERT INTO custodies (referral_id, state, changed_at) VALUES (?, 'awaited', 0) ON CONFLICT DO NOTHING"
)
_TAKE = SqlStatement(f"{_CUSTODY} WHERE referral_id = ANY (?) ORDER BY referral_id", postgresql=_LOCKED)
# The condition matches the index `custodies_waiting` (`tables.WAITING`).
_AWAITED = SqlStatement(
    "SELECT DISTINCT acceptor FROM custodies WHERE state = 'held' AND acceptor IS NOT NULL ORDER BY acceptor"
)
_WAITING_FOR = SqlStatement(
    "SELECT referral_id FROM custodies WHERE state = 'held' AND acceptor = ? ORDER BY referral_id LIMIT ?"
)
_PAUSED = SqlStatement(
    "SELECT count(*), min(changed_at) FROM custodies"
    " WHERE state = 'held' AND acceptor IS NOT NULL AND paused_until > ?"
)
_PUT = SqlStatement(
    "UPDATE custodies SET state = ?, sender = ?, receiver = ?, kid = ?, acceptor = ?, acceptance_id = ?,"
    " correlation_id = ?, traceparent = ?, paused_until = ?, changed_at = ? WHERE referral_id = ?"
)
_KEEP = SqlStatement("INSERT INTO sealed_cases (referral_id, wrapped_key, ciphertext) VALUES (?, ?, ?)")
_SEALED = SqlStatement(
    "SELECT referral_id, wrapped_key, ciphertext FROM sealed_cases WHERE referral_id = ANY (?)"
)
_WITNESS = SqlStatement(
    "INSERT INTO evidence (referral_id, message_id, type, body, signed, acted_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_DESTROY = SqlStatement("DELETE FROM sealed_cases WHERE referral_id = ANY (?)")


class SqlCustodyStore:
    """See `ports.CustodyStore`. PostgreSQL locks the rows; SQLite has only one writer."""

    def take(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Custody]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return {}
        # Rows are always locked in this order, so transactions cannot deadlock.
        ids = sorted(set(referral_ids))
        _BEGIN.run_for_each(transaction, [(referral_id,) for referral_id in ids])
        return {row[0]: _custody(*row) for row in _TAKE.run(transaction, ids)}

    def awaited_acceptors(self, transaction: Connection) -> list[str]:
        """See `ports.CustodyStore`."""
        return [acceptor for (acceptor,) in _AWAITED.run(transaction)]

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
        rows = [(referral_id, case.wrapped_key, case.ciphertext) for referral_id, case in cases.items()]
        _KEEP.run_for_each(transaction, rows)

    def sealed(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, SealedCase]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return {}
        return {
            referral_id: SealedCase(wrapped_key=wrapped_key, ciphertext=ciphertext)
            for referral_id, wrapped_key, ciphertext in _SEALED.run(transaction, sorted(referral_ids))
        }

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

    def destroy(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """See `ports.CustodyStore`."""
        if referral_ids:
            _DESTROY.run(transaction, sorted(referral_ids))


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
) -> Custody:
    acceptance = None
    if acceptor is not None:
        acceptance = Acceptance(
            organization=acceptor,
            message_id=acceptance_id,
            correlation_id=correlation_id,
            traceparent=traceparent,
        )
    return Custody(
        referral_id=referral_id,
        state=CustodyState(state),
        sender=sender,
        receiver=receiver,
        kid=kid,
        acceptance=acceptance,
        paused_until=None if paused_until is None else moment_of(paused_until),
    )


def _values(custody: Custody, changed_at: int) -> tuple[Any, ...]:
    acceptance = custody.acceptance
    accepted: tuple[str | None, ...] = (None, None, None, None)
    if acceptance is not None:
        accepted = (
            acceptance.organization,
            acceptance.message_id,
            acceptance.correlation_id,
            acceptance.traceparent,
        )
    return (
        custody.state.value,
        custody.sender,
        custody.receiver,
        custody.kid,
        *accepted,
        None if custody.paused_until is None else microseconds(custody.paused_until),
        changed_at,
        custody.referral_id,
    )
