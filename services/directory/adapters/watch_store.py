"""The SQL implementation of `ports.WatchStore`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from contracts.employer import Allegation, Employer
from contracts.records import read
from runtime.turn import Turn
from services.directory.adapters.tables import EMPLOYER_REPLIES, WATCH_RECIPIENTS, WATCH_REPORTS
from services.directory.domain.watch_report import EmployerReply, WatchReport
from services.directory.ports import KeyedReport

_REPORTS = WATCH_REPORTS.c


class SqlWatchStore:
    """See `ports.WatchStore`."""

    def add(self, transaction: Connection, report: KeyedReport) -> None:
        """See `ports.WatchStore`."""
        kept = report.report
        transaction.execute(
            insert(WATCH_REPORTS),
            [
                {
                    "id": kept.id,
                    "reporter": kept.reporter,
                    "country": kept.allegation.employer.country,
                    "allegation": kept.allegation,
                    "recipients": kept.recipients,
                    "salt": kept.salt,
                    "reported_at": kept.reported_at,
                    "retracted_at": kept.retracted_at,
                    "idempotency_key": report.key,
                    "body_sha256": report.body_sha256,
                }
            ],
        )

    def by_key(self, transaction: Connection, reporter: str, key: str) -> KeyedReport | None:
        """See `ports.WatchStore`."""
        query = select(WATCH_REPORTS).where(_REPORTS.reporter == reporter, _REPORTS.idempotency_key == key)
        row = transaction.execute(query).one_or_none()
        return None if row is None else KeyedReport(report=_report(row), body_sha256=row.body_sha256, key=key)

    def one(self, transaction: Connection, report_id: str) -> WatchReport | None:
        """See `ports.WatchStore`."""
        row = transaction.execute(select(WATCH_REPORTS).where(_REPORTS.id == report_id)).one_or_none()
        return None if row is None else _report(row)

    def of(self, transaction: Connection, reporter: str, after: str, limit: int) -> list[WatchReport]:
        """See `ports.WatchStore`."""
        query = select(WATCH_REPORTS).where(_REPORTS.reporter == reporter, _REPORTS.id > after)
        return [_report(row) for row in transaction.execute(query.order_by(_REPORTS.id).limit(limit))]

    def retract(self, transaction: Connection, report_id: str, at: dt.datetime) -> None:
        """See `ports.WatchStore`."""
        transaction.execute(update(WATCH_REPORTS).where(_REPORTS.id == report_id).values(retracted_at=at))

    def counting(
        self, transaction: Connection, *, since: dt.datetime, country: str | None
    ) -> list[WatchReport]:
        """See `ports.WatchStore`."""
        query = select(WATCH_REPORTS).where(_REPORTS.reported_at > since, _REPORTS.retracted_at.is_(None))
        if country is not None:
            query = query.where(_REPORTS.country == country)
        found: list[WatchReport] = []
        turn = Turn()
        for row in transaction.execute(query.order_by(_REPORTS.id)):
            found.append(_report(row))
            turn.end_if_over()
        return found

    def reported(self, transaction: Connection) -> Iterator[Employer]:
        """See `ports.WatchStore`."""
        for allegation in transaction.execute(select(_REPORTS.allegation)).scalars():
            yield read(Allegation, allegation).employer

    def number_made(self, transaction: Connection, reporter: str, *, since: dt.datetime) -> int:
        """See `ports.WatchStore`."""
        query = select(func.count()).where(_REPORTS.reporter == reporter, _REPORTS.reported_at > since)
        return transaction.execute(query).scalar_one()

    def choose(self, transaction: Connection, organization: str, *, receives: bool, at: dt.datetime) -> bool:
        """See `ports.WatchStore`."""
        if not receives:
            own = WATCH_RECIPIENTS.c.organization == organization
            return transaction.execute(delete(WATCH_RECIPIENTS).where(own)).rowcount == 1
        statement = _dialect(transaction).insert(WATCH_RECIPIENTS).values(organization=organization, since=at)
        return transaction.execute(statement.on_conflict_do_nothing()).rowcount == 1

    def receiving(self, transaction: Connection) -> Mapping[str, dt.datetime]:
        """See `ports.WatchStore`."""
        query = select(WATCH_RECIPIENTS).order_by(WATCH_RECIPIENTS.c.organization)
        return {row.organization: row.since for row in transaction.execute(query)}

    def put_reply(self, transaction: Connection, reply: EmployerReply) -> None:
        """See `ports.WatchStore`."""
        self.forget_replies(transaction, [reply.watched_id])
        transaction.execute(
            insert(EMPLOYER_REPLIES),
            [
                {
                    "watched_id": reply.watched_id,
                    "country": reply.employer.country,
                    "employer": reply.employer,
                    "text": reply.text,
                    "by": reply.by,
                    "at": reply.at,
                }
            ],
        )

    def replies(self, transaction: Connection, country: str | None) -> list[EmployerReply]:
        """See `ports.WatchStore`."""
        query = select(EMPLOYER_REPLIES)
        if country is not None:
            query = query.where(EMPLOYER_REPLIES.c.country == country)
        return [
            EmployerReply(
                watched_id=row.watched_id,
                employer=read(Employer, row.employer),
                text=row.text,
                by=row.by,
                at=row.at,
            )
            for row in transaction.execute(query.order_by(EMPLOYER_REPLIES.c.watched_id))
        ]

    def forget_reports(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.WatchStore`."""
        old = select(_REPORTS.id).where(_REPORTS.reported_at <= before).order_by(_REPORTS.reported_at)
        ids = transaction.execute(old.limit(limit)).scalars().all()
        transaction.execute(delete(WATCH_REPORTS).where(_REPORTS.id.in_(ids)))
        return len(ids)

    def forget_replies(self, transaction: Connection, watched_ids: Sequence[str]) -> None:
        """See `ports.WatchStore`."""
        transaction.execute(delete(EMPLOYER_REPLIES).where(EMPLOYER_REPLIES.c.watched_id.in_(watched_ids)))


def _dialect(transaction: Connection) -> Any:
    return postgresql if transaction.dialect.name == "postgresql" else sqlite


def _report(row: Any) -> WatchReport:
    return WatchReport(
        id=row.id,
        reporter=row.reporter,
        allegation=read(Allegation, row.allegation),
        recipients=tuple(row.recipients),
        salt=row.salt,
        reported_at=row.reported_at,
        retracted_at=row.retracted_at,
    )
