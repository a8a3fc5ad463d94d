"""Closing of watch reports in delivery's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import DELIVERED_REPORTS, REPORT_ENDS
from services.delivery.domain.closing import End
from services.delivery.domain.report_closing import OPTED_OUT, DeliveredReport, ReportEnd

_REMEMBER = SqlStatement(
    "INSERT INTO report_ends (subject, reason, ended_at) VALUES (?, ?, ?)"
    # An organisation may opt out again.
    " ON CONFLICT (subject) DO UPDATE SET ended_at = excluded.ended_at"
    " WHERE report_ends.ended_at < excluded.ended_at"
)

_ENDS = SqlStatement("SELECT subject, reason, ended_at FROM report_ends WHERE subject = ANY (?)")

_KEEP = SqlStatement(
    "INSERT INTO delivered_reports (message_id, report_id, organization, sent_at, expires_at)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

_JOIN = (
    " FROM delivered_reports JOIN mailbox_messages"
    " ON mailbox_messages.message_id = delivered_reports.message_id"
    " AND mailbox_messages.organization = delivered_reports.organization"
)

# Locked in the same order as acknowledged messages, so transactions cannot deadlock.
_OF_REPORTS = SqlStatement(
    f"SELECT sequence, delivered_reports.report_id {_JOIN}"
    " WHERE delivered_reports.report_id = ANY (?) ORDER BY sequence",
    postgresql="FOR UPDATE OF mailbox_messages",
)

# Ordered by `+sequence`: for the order of `sequence` SQLite would read every message of every mailbox.
_OPTED_OUT = SqlStatement(
    f"SELECT sequence, report_ends.ended_at {_JOIN}"
    " JOIN report_ends ON report_ends.subject = delivered_reports.organization"
    " AND delivered_reports.sent_at <= report_ends.ended_at"
    " WHERE report_ends.reason = ? ORDER BY +sequence LIMIT ?",
    postgresql="FOR UPDATE OF mailbox_messages SKIP LOCKED",
)

_CLOSE = SqlStatement(
    "UPDATE mailbox_messages SET body = ?, content = ?, closed_at = ?, closes_at = NULL"
    " WHERE sequence = ? AND content = 'open'"
)

_FORGET_CLOSED = SqlStatement(
    "DELETE FROM delivered_reports WHERE message_id IN"
    " (SELECT message_id FROM mailbox_messages WHERE sequence = ANY (?))"
)


class SqlReportClosings:
    """See `ports.ReportClosings`."""

    def remember(self, transaction: Connection, ends: Sequence[ReportEnd]) -> None:
        """See `ports.ReportClosings`."""
        rows = [(one.subject, one.end.reason, microseconds(one.end.at)) for one in ends]
        _REMEMBER.run_for_each(transaction, sorted(rows))

    def ends(self, transaction: Connection, subjects: Collection[str]) -> Mapping[str, End]:
        """See `ports.ReportClosings`."""
        if not subjects:
            return {}
        return {
            subject: End(reason=reason, at=moment_of(ended_at))
            for subject, reason, ended_at in _ENDS.run(transaction, sorted(subjects))
        }

    def keep(self, transaction: Connection, reports: Sequence[DeliveredReport]) -> None:
        """See `ports.ReportClosings`."""
        _KEEP.run_for_each(
            transaction,
            [
                (
                    one.message_id,
                    one.report_id,
                    one.organization,
                    microseconds(one.sent_at),
                    microseconds(one.expires_at),
                )
                for one in reports
            ],
        )

    def close(self, transaction: Connection, ends: Mapping[str, End]) -> None:
        """See `ports.ReportClosings`."""
        if ends:
            found = _OF_REPORTS.run(transaction, sorted(ends))
            self._close(transaction, {sequence: ends[report_id] for sequence, report_id in found})

    def close_opted_out(self, transaction: Connection, limit: int) -> int:
        """See `ports.ReportClosings`."""
        found = {
            sequence: End(reason=OPTED_OUT, at=moment_of(ended_at))
            for sequence, ended_at in _OPTED_OUT.run(transaction, OPTED_OUT, limit)
        }
        self._close(transaction, found)
        return len(found)

    def forget(self, transaction: Connection, *, ended: dt.datetime, expired: dt.datetime, limit: int) -> int:
        """See `ports.ReportClosings`."""
        ends, reports = REPORT_ENDS.c, DELIVERED_REPORTS.c
        old_ends = select(ends.subject).where(ends.ended_at < ended).limit(limit)
        number = transaction.execute(delete(REPORT_ENDS).where(ends.subject.in_(old_ends))).rowcount
        old = select(reports.message_id).where(reports.expires_at < expired).limit(limit)
        gone = transaction.execute(delete(DELIVERED_REPORTS).where(reports.message_id.in_(old))).rowcount
        return max(number, gone)

    def _close(self, transaction: Connection, ended: Mapping[int, End]) -> None:
        if not ended:
            return
        _CLOSE.run_for_each(
            transaction,
            [(b"", end.reason, microseconds(end.at), sequence) for sequence, end in sorted(ended.items())],
        )
        _FORGET_CLOSED.run(transaction, sorted(ended))
