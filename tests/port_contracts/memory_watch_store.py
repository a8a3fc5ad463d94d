"""A WatchStore in memory, which ignores the transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from contracts.employer import Employer
from services.directory.domain.watch_report import EmployerReply, WatchReport
from services.directory.ports import KeyedReport


class MemoryWatchStore:
    """See `ports.WatchStore`."""

    def __init__(self) -> None:
        self._reports: dict[str, KeyedReport] = {}
        self._receiving: dict[str, dt.datetime] = {}
        self._replies: dict[str, EmployerReply] = {}

    def add(self, transaction: Connection, report: KeyedReport) -> None:
        self._reports[report.report.id] = report

    def by_key(self, transaction: Connection, reporter: str, key: str) -> KeyedReport | None:
        for kept in self._reports.values():
            if (kept.report.reporter, kept.key) == (reporter, key):
                return kept
        return None

    def one(self, transaction: Connection, report_id: str) -> WatchReport | None:
        kept = self._reports.get(report_id)
        return None if kept is None else kept.report

    def of(self, transaction: Connection, reporter: str, after: str, limit: int) -> list[WatchReport]:
        own = [kept.report for kept in self._reports.values() if kept.report.reporter == reporter]
        return sorted((one for one in own if one.id > after), key=lambda one: one.id)[:limit]

    def retract(self, transaction: Connection, report_id: str, at: dt.datetime) -> None:
        kept = self._reports[report_id]
        self._reports[report_id] = replace(kept, report=replace(kept.report, retracted_at=at))

    def counting(
        self, transaction: Connection, *, since: dt.datetime, country: str | None
    ) -> list[WatchReport]:
        reports = sorted((kept.report for kept in self._reports.values()), key=lambda one: one.id)
        return [
            one
            for one in reports
            if one.reported_at > since
            and one.retracted_at is None
            and country in (None, one.allegation.employer.country)
        ]

    def reported(self, transaction: Connection) -> Iterator[Employer]:
        return (kept.report.allegation.employer for kept in self._reports.values())

    def number_made(self, transaction: Connection, reporter: str, *, since: dt.datetime) -> int:
        own = [kept.report for kept in self._reports.values() if kept.report.reporter == reporter]
        return sum(1 for one in own if one.reported_at > since)

    def choose(self, transaction: Connection, organization: str, *, receives: bool, at: dt.datetime) -> bool:
        if not receives:
            return self._receiving.pop(organization, None) is not None
        if organization in self._receiving:
            return False
        self._receiving[organization] = at
        return True

    def receiving(self, transaction: Connection) -> Mapping[str, dt.datetime]:
        return dict(sorted(self._receiving.items()))

    def put_reply(self, transaction: Connection, reply: EmployerReply) -> None:
        self._replies[reply.watched_id] = reply

    def replies(self, transaction: Connection, country: str | None) -> list[EmployerReply]:
        found = sorted(self._replies.values(), key=lambda one: one.watched_id)
        return [one for one in found if country in (None, one.employer.country)]

    def forget_reports(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        old = [kept.report for kept in self._reports.values() if kept.report.reported_at <= before]
        chosen = sorted(old, key=lambda one: one.reported_at)[:limit]
        for report in chosen:
            del self._reports[report.id]
        return len(chosen)

    def forget_replies(self, transaction: Connection, watched_ids: Sequence[str]) -> None:
        for watched_id in watched_ids:
            self._replies.pop(watched_id, None)
