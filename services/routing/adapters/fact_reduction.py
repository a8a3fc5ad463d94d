"""Reduction of the facts of ended referrals in routing's database. SQLite overwrites what is dropped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from sqlalchemy import Connection

from contracts.codes import CONSENT_REVOKED
from contracts.commitment import SALT_BYTES, commitment_to
from contracts.facts import ReferralWithdrawn
from contracts.records import dump
from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.routing.adapters import withdrawn_offers
from services.routing.adapters.rows import part_without_needs
from services.routing.domain.kept_proofs import kept_proofs
from services.routing.domain.reduced_facts import DROPPED_DETAILS, is_reduced, reduced
from services.routing.domain.timeline import TimelineEntry

_LOCK: Final = "FOR UPDATE SKIP LOCKED"

_REVOKED = SqlStatement("UPDATE referrals SET facts_state = 'revoked' WHERE id = ? AND facts_state IS NULL")

_DUE_AT_ONCE = SqlStatement(
    "SELECT id, facts, part FROM referrals WHERE facts_state = 'revoked' ORDER BY id LIMIT ?",
    postgresql=_LOCK,
)

_DUE = SqlStatement(
    "SELECT id, facts, part FROM referrals WHERE facts_state IS NULL"
    " AND status IN ('completed', 'withdrawn', 'failed', 'entered_in_error')"
    " AND updated_at <= ? ORDER BY updated_at LIMIT ?",
    postgresql=_LOCK,
)

_REDUCE = SqlStatement("UPDATE referrals SET facts = ?, part = ?, facts_state = 'reduced' WHERE id = ?")

_DECISIONS = SqlStatement(
    "SELECT id, referral_id, record, salt, asked FROM decisions"
    " WHERE referral_id = ANY (?) AND erased_at IS NULL ORDER BY id"
)

_ERASE = SqlStatement(
    "UPDATE decisions SET record = '{}', salt = NULL, asked = NULL, commitment = ?, proofs = ?, erased_at = ?"
    " WHERE id = ?"
)

_ENTRIES = SqlStatement(
    "SELECT number, detail FROM timeline WHERE referral_id = ANY (?) ORDER BY referral_id, number"
)

_SHORTEN = SqlStatement("UPDATE timeline SET detail = ? WHERE number = ?")


def mark_revoked(transaction: Connection, timeline: Iterable[TimelineEntry]) -> None:
    """Mark the referrals whose consent was withdrawn, so that their facts are reduced at once."""
    _REVOKED.run_for_each(
        transaction,
        [
            (entry.referral_id,)
            for entry in timeline
            if entry.fact == ReferralWithdrawn.routing_key and entry.detail.get("reason") == CONSENT_REVOKED
        ],
    )


class SqlFactReduction:
    """See `ports.FactReduction`."""

    def reduce(self, transaction: Connection, ended_by: dt.datetime, now: dt.datetime, limit: int) -> int:
        """See `ports.FactReduction`."""
        due = list(_DUE_AT_ONCE.run(transaction, limit))
        if len(due) < limit:
            due += _DUE.run(transaction, microseconds(ended_by), limit - len(due))
        stored = [(referral_id, orjson.loads(facts), part) for referral_id, facts, part in due]
        _REDUCE.run_for_each(
            transaction,
            [
                (
                    dump(facts if is_reduced(facts) else reduced(facts)).decode(),
                    part_without_needs(part),
                    referral_id,
                )
                for referral_id, facts, part in stored
            ],
        )
        ids = [referral_id for referral_id, _, _ in stored]
        if ids:
            _erase_decisions(transaction, ids, now)
            _shorten_timeline(transaction, ids)
        return len(ids)

    def forget_withdrawn(self, transaction: Connection, by: dt.datetime) -> None:
        """See `ports.FactReduction`."""
        withdrawn_offers.forget(transaction, by)


def _erase_decisions(transaction: Connection, referral_ids: Sequence[str], now: dt.datetime) -> None:
    _ERASE.run_for_each(
        transaction,
        [
            (_commitment(record, salt), _proofs(referral_id, record, asked, salt), microseconds(now), id_)
            for id_, referral_id, record, written, asked in _DECISIONS.run(transaction, referral_ids).all()
            for salt in (_salt(written),)
        ],
    )


def _salt(written: bytes | None) -> bytes | None:
    """Return a decision's salt; None for one of an earlier build.

    Routing writes salts of one length only, so another length was written by somebody else.
    """
    return bytes(written) if written is not None and len(written) == SALT_BYTES else None


def _commitment(record: str, salt: bytes | None) -> str | None:
    """Return what the log committed to; None for a decision without a salt."""
    return None if salt is None else commitment_to(record.encode(), salt)


def _proofs(referral_id: str, record: str, asked: str | None, salt: bytes | None) -> str:
    try:
        candidates = [one["organization"] for one in orjson.loads(record).get("candidates", ())]
        proofs = kept_proofs(referral_id, candidates, None if asked is None else orjson.loads(asked), salt)
    except (ValueError, KeyError, TypeError, AttributeError):
        proofs = {}  # Somebody else wrote the record. It must not keep others from being erased.
    return dump(proofs).decode()


def _shorten_timeline(transaction: Connection, referral_ids: Sequence[str]) -> None:
    shorter: list[tuple[str, int]] = []
    for number, written in _ENTRIES.run(transaction, referral_ids).all():
        detail = orjson.loads(written)
        kept = {name: value for name, value in detail.items() if name not in DROPPED_DETAILS}
        if len(kept) < len(detail):
            shorter.append((dump(kept).decode(), number))
    _SHORTEN.run_for_each(transaction, shorter)
