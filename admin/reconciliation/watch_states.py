"""The directory's reports about employers, replies and recipients beside the log.

The log does not name the reporter of a report, but has a commitment to it, which the row opens.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Engine, select

from admin.reconciliation.differences import Difference
from admin.reconciliation.events_in_transit import ids_in_transit
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.row_differences import ComparedRow, row_differences
from admin.reconciliation.service_tables import EMPLOYER_REPLIES, WATCH_RECIPIENTS, WATCH_REPORTS
from admin.reconciliation.stored_values import DAMAGED, json_value
from contracts.canonical import NotCanonical
from contracts.employer import Allegation
from contracts.facts import EmployerReplied, EmployerReported, EmployerReportRetracted, WatchReportsChosen
from contracts.moments import CLOCK_TOLERANCE
from contracts.records import Malformed, read
from services.directory.domain.employer_identity import entry_keys
from services.directory.domain.watch_report import reporter_commitment

# The members with the ids that the facts are about.
_NAMES: Final = {
    EmployerReported.type: "report_id",
    EmployerReportRetracted.type: "report_id",
    WatchReportsChosen.type: "organization",
    EmployerReplied.type: "watched_id",
}


class WatchStates:
    """The reports about employers, the replies and the recipients beside the log."""

    def __init__(self, directory: Engine, entries: OpenedEntries) -> None:
        self._engine = directory
        self._entries = entries

    def differences(self, settled: dt.datetime, limit: int) -> Iterator[Difference]:
        """Yield the differences. settled: ignore later changes. limit: entries per query."""
        # The directory is read before the log. A change that the log lacks then is in transit.
        reports, recipients, replies = self._reports(), self._recipients(), self._replies()
        moving = ids_in_transit(self._engine, _NAMES, settled, limit)
        moving_reports = moving[EmployerReported.type] | moving[EmployerReportRetracted.type]
        reported, ends = self._logged_reports(limit)
        chosen, replied = self._logged_recipients(limit), self._logged_replies(limit)
        # Reports end with time and without an entry, also while the log is read.
        now = _now() + CLOCK_TOLERANCE
        expired = {id for id, end in ends.items() if end <= now}
        yield from row_differences(
            "watch report", reports, reported, settled, may_lack=expired, moving=moving_reports
        )
        out = {name for name, one in chosen.items() if one.values["since"] is None}
        yield from row_differences(
            "recipient of watch reports",
            recipients,
            chosen,
            settled,
            may_lack=out,
            moving=moving[WatchReportsChosen.type],
        )
        spans: dict[str, list[tuple[dt.datetime, dt.datetime]]] = defaultdict(list)
        for id, row in reported.items():
            for entry in _entries_of(row.values["allegation"]):
                spans[entry].append((row.values["reported_at"], ends[id]))
        orphaned = {id for id, reply in replied.items() if was_left_alone(reply.time, spans[id], now)}
        yield from row_differences(
            "reply of an employer",
            replies,
            replied,
            settled,
            may_lack=orphaned,
            moving=moving[EmployerReplied.type],
        )

    def _reports(self) -> dict[str, ComparedRow]:
        with self._engine.connect() as connection:
            return {
                row.id: ComparedRow(
                    time=row.reported_at,
                    values={
                        "country": row.country,
                        "allegation": json_value(row.allegation),
                        "recipients": json_value(row.recipients),
                        "reporter": _opened(row),
                        "reported_at": row.reported_at,
                        "retracted_at": row.retracted_at,
                    },
                )
                for row in connection.execute(select(WATCH_REPORTS))
            }

    def _logged_reports(self, limit: int) -> tuple[dict[str, ComparedRow], dict[str, dt.datetime]]:
        found: dict[str, ComparedRow] = {}
        ends: dict[str, dt.datetime] = {}
        for leaf, data in self._entries.said([EmployerReported.type, EmployerReportRetracted.type], limit):
            time, report_id = dt.datetime.fromisoformat(leaf["time"]), data["report_id"]
            if leaf["type"] == EmployerReported.type:
                values: Mapping[str, Any] = {
                    "country": data["allegation"]["employer"]["country"],
                    "allegation": data["allegation"],
                    "recipients": data["recipients"],
                    "reporter": data["reporter"],
                    "reported_at": time,
                    "retracted_at": None,
                }
                ends[report_id] = dt.datetime.fromisoformat(data["expires_at"])
            elif report_id in found and found[report_id].values["retracted_at"] is None:
                values = {**found[report_id].values, "retracted_at": time}
            else:
                continue
            found[report_id] = ComparedRow(time=time, values=values, index=leaf["index"])
        return found, ends

    def _recipients(self) -> dict[str, ComparedRow]:
        with self._engine.connect() as connection:
            return {
                row.organization: ComparedRow(time=row.since, values={"since": row.since})
                for row in connection.execute(select(WATCH_RECIPIENTS))
            }

    def _logged_recipients(self, limit: int) -> dict[str, ComparedRow]:
        found: dict[str, ComparedRow] = {}
        for leaf, data in self._entries.said([WatchReportsChosen.type], limit):
            time = dt.datetime.fromisoformat(leaf["time"])
            since = time if data["receives"] else None
            found[data["organization"]] = ComparedRow(time=time, values={"since": since}, index=leaf["index"])
        return found

    def _replies(self) -> dict[str, ComparedRow]:
        with self._engine.connect() as connection:
            return {
                row.watched_id: ComparedRow(
                    time=row.at,
                    values={
                        "country": row.country,
                        "employer": json_value(row.employer),
                        "text": json_value(row.text),
                        "by": row.by,
                        "at": row.at,
                    },
                )
                for row in connection.execute(select(EMPLOYER_REPLIES))
            }

    def _logged_replies(self, limit: int) -> dict[str, ComparedRow]:
        found: dict[str, ComparedRow] = {}
        for leaf, data in self._entries.said([EmployerReplied.type], limit):
            time = dt.datetime.fromisoformat(leaf["time"])
            values = {
                "country": data["employer"]["country"],
                "employer": data["employer"],
                "text": data["text"],
                "by": data["by"],
                "at": time,
            }
            found[data["watched_id"]] = ComparedRow(time=time, values=values, index=leaf["index"])
        return found


def was_left_alone(
    since: dt.datetime, spans: Iterable[tuple[dt.datetime, dt.datetime]], now: dt.datetime
) -> bool:
    """Return whether there was a moment without a report, when the directory deletes an entry's reply.

    since: when the reply was made, while there was a report. spans: the begin and the end of each report of
    the entry, in any order.
    """
    until = since
    for begin, end in sorted(spans):
        if begin > until:
            break
        until = max(until, end)
    return until <= now


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _opened(row: Any) -> str:
    """Return the commitment that the row's reporter and salt give; DAMAGED for a damaged salt."""
    try:
        return reporter_commitment(row.id, row.reporter, row.salt)
    except (ValueError, TypeError, NotCanonical):
        return DAMAGED


def _entries_of(allegation: Any) -> frozenset[str]:
    """Return the ids of the entries that a report with this allegation counts in; none for a damaged one."""
    try:
        return frozenset(key.id for key in entry_keys(read(Allegation, allegation).employer))
    except (Malformed, TypeError):
        return frozenset()
