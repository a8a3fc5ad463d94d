"""Closing of messages in delivery's database. SQLite overwrites erased bodies (`secure_delete`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, select

from contracts.facts import EmployerReportDelivered
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import ENDED_OFFERS
from services.delivery.domain.closing import COMPLETED, End, OpenMessage
from services.delivery.domain.report_closing import EXPIRED

_ENDED = SqlStatement("SELECT offer_id, reason, ended_at FROM ended_offers WHERE offer_id = ANY (?)")

# An offer that expired may have been accepted in time all the same; then its acceptance ends later.
_REMEMBER = SqlStatement(
    "INSERT INTO ended_offers (offer_id, reason, ended_at) VALUES (?, ?, ?)"
    " ON CONFLICT (offer_id) DO UPDATE SET reason = excluded.reason, ended_at = excluded.ended_at"
    " WHERE ended_offers.reason = 'expired' AND excluded.reason <> 'expired'"
)

# Locked in the same order as acknowledged messages, so transactions cannot deadlock.
_OPEN = SqlStatement(
    "SELECT sequence, type, referral_id, organization, offer_id, acceptance, subject,"
    " acknowledged_at IS NOT NULL"
    " FROM mailbox_messages WHERE content = 'open' AND referral_id = ANY (?) ORDER BY sequence",
    postgresql="FOR UPDATE",
)

# One statement, because two would lock rows out of their order.
_OPEN_WITH_SUBJECTS = SqlStatement(
    "SELECT sequence, type, referral_id, organization, offer_id, acceptance, subject,"
    " acknowledged_at IS NOT NULL"
    " FROM mailbox_messages WHERE content = 'open' AND sequence IN ("
    "SELECT sequence FROM mailbox_messages WHERE referral_id = ANY (?)"
    " UNION ALL SELECT sequence FROM mailbox_messages WHERE subject IS NOT NULL AND subject = ANY (?))"
    " ORDER BY sequence",
    postgresql="FOR UPDATE",
)

_CLOSE = SqlStatement(
    "UPDATE mailbox_messages SET body = ?, content = ?, closed_at = ?, closes_at = NULL WHERE sequence = ?"
)

_CLOSE_LATER = SqlStatement("UPDATE mailbox_messages SET closes_at = ? WHERE sequence = ?")

_DUE = SqlStatement(
    "SELECT sequence FROM mailbox_messages WHERE closes_at IS NOT NULL AND closes_at <= ?"
    " ORDER BY closes_at, sequence LIMIT ?",
    postgresql="FOR UPDATE SKIP LOCKED",
)
_IS_DUE = SqlStatement(
    "SELECT EXISTS (SELECT 1 FROM mailbox_messages WHERE closes_at IS NOT NULL AND closes_at <= ?)"
)

_CLOSE_ALL = SqlStatement(
    "UPDATE mailbox_messages SET body = ?, content = CASE WHEN type = ? THEN ? ELSE ? END, closed_at = ?,"
    " closes_at = NULL"
    " WHERE sequence = ANY (?)"
)


class SqlClosings:
    """See `ports.Closings`."""

    def ended_offers(self, transaction: Connection, offer_ids: Collection[str]) -> Mapping[str, End]:
        """See `ports.Closings`."""
        if not offer_ids:
            return {}
        return {
            offer_id: End(reason=reason, at=moment_of(ended_at))
            for offer_id, reason, ended_at in _ENDED.run(transaction, sorted(offer_ids))
        }

    def remember_ended(self, transaction: Connection, offers: Mapping[str, End]) -> None:
        """See `ports.Closings`."""
        _REMEMBER.run_for_each(
            transaction, [(id_, end.reason, microseconds(end.at)) for id_, end in sorted(offers.items())]
        )

    def open_messages(
        self, transaction: Connection, referral_ids: Collection[str], subjects: Collection[str] = ()
    ) -> list[OpenMessage]:
        """See `ports.Closings`."""
        if subjects:
            rows = _OPEN_WITH_SUBJECTS.run(transaction, sorted(referral_ids), sorted(subjects))
        elif referral_ids:
            rows = _OPEN.run(transaction, sorted(referral_ids))
        else:
            return []
        return [
            OpenMessage(
                sequence=sequence,
                type=message_type,
                referral_id=referral_id,
                organization=organization,
                offer_id=offer_id,
                acceptance=acceptance,
                subject=subject,
                is_acknowledged=bool(acknowledged),
            )
            for (
                sequence,
                message_type,
                referral_id,
                organization,
                offer_id,
                acceptance,
                subject,
                acknowledged,
            ) in rows
        ]

    def close(self, transaction: Connection, ended: Mapping[int, End]) -> None:
        """See `ports.Closings`."""
        _CLOSE.run_for_each(
            transaction,
            [(b"", end.reason, microseconds(end.at), sequence) for sequence, end in sorted(ended.items())],
        )

    def close_later(self, transaction: Connection, due: Mapping[int, dt.datetime]) -> None:
        """See `ports.Closings`."""
        _CLOSE_LATER.run_for_each(
            transaction, [(microseconds(moment), sequence) for sequence, moment in sorted(due.items())]
        )

    def is_due(self, transaction: Connection, now: dt.datetime) -> bool:
        """See `ports.Closings`."""
        return bool(_IS_DUE.run(transaction, microseconds(now)).scalar_one())

    def close_due(self, transaction: Connection, now: dt.datetime, limit: int) -> int:
        """See `ports.Closings`. Only messages of completed referrals and watch reports become due."""
        at = microseconds(now)
        due = [sequence for (sequence,) in _DUE.run(transaction, at, limit)]
        if due:
            _CLOSE_ALL.run(transaction, b"", EmployerReportDelivered.type, EXPIRED, COMPLETED, at, due)
        return len(due)

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.Closings`."""
        table = ENDED_OFFERS
        oldest = select(table.c.offer_id).where(table.c.ended_at < before).limit(limit)
        return transaction.execute(delete(table).where(table.c.offer_id.in_(oldest))).rowcount
