"""Reports: what happened in the network in a week, and to one's own organisation."""

from __future__ import annotations

from typing import Any, Final, cast

from kopuro_client.errors import DefectError
from kopuro_client.paging import following
from kopuro_client.records import Page
from kopuro_client.report_records import (
    MonthlyStatement,
    ProvedStatement,
    SpanTotals,
    Statement,
    WeeklyReport,
)
from kopuro_client.resources.connected import Connected
from kopuro_client.tlog.statement import FORMAT

# The most entries of the log that one request may name.
_MOST_ENTRIES: Final = 100


class Reports(Connected):
    """Reads reports. Each is made once, after the end of its week (`2026-W07`, ISO 8601, UTC)."""

    def weekly_report(self, week: str | None = None, *, language: str | None = None) -> WeeklyReport:
        """Return a week of the network, as a coordinator; by default the latest. language: of the labels."""
        url = self._at("routing", "coordination", "report")
        return cast(WeeklyReport, self._connection.get(url, {"week": week, "language": language}))

    def weekly_report_csv(self, week: str | None = None, *, language: str | None = None) -> str:
        """Return the same report as CSV, one row for each figure."""
        return self._csv("coordination", "report", week=week, language=language)

    def network_statistics(self, every: str = "week", *, limit: int | None = None) -> list[SpanTotals]:
        """Return the totals of the latest weeks or months, the oldest first, as a coordinator."""
        url = self._at("routing", "coordination", "statistics")
        series = self._connection.get(url, {"every": every, "limit": limit})
        return cast("list[SpanTotals]", series["items"])

    def network_statistics_csv(
        self, every: str = "week", *, limit: int | None = None, language: str | None = None
    ) -> str:
        """Return the same totals as CSV. language: of the word for a withheld figure."""
        return self._csv("coordination", "statistics", every=every, limit=limit, language=language)

    def statement(self, week: str | None = None) -> Statement:
        """Return the exact figures of one's own organisation in a week; by default the latest."""
        return cast(Statement, self._connection.get(self._at("routing", "statement"), {"week": week}))

    def statement_csv(self, week: str | None = None, *, language: str | None = None) -> str:
        """Return the same figures as CSV, one row for each. language: of the labels."""
        return self._csv("statement", week=week, language=language)

    def monthly_statement(self, month: str | None = None) -> MonthlyStatement:
        """Return the figures of one's own organisation in a month (`2026-10`); by default the latest."""
        url = self._at("routing", "statement", "month")
        return cast(MonthlyStatement, self._connection.get(url, {"month": month}))

    def proved_statement(self, month: str | None = None) -> ProvedStatement:
        """Return the same figures with their proofs, for `kopuro_client.tlog.ProvedStatement`.

        The proofs are those of each decision that asked the organisation, and of the figures themselves once
        they have been issued. Reads as many pages as it takes.
        """
        try:
            return self._proved_statement(month)
        except (KeyError, TypeError) as error:
            raise DefectError("the hub's statement lacks what its contract promises") from error

    def _proved_statement(self, month: str | None) -> ProvedStatement:
        wanted = self.monthly_statement()["statement"]["month"] if month is None else month
        # Before the figures: a week that is reported in between adds to them and not to the list.
        decisions = list(following(lambda after: self._asking_decisions(wanted, after)))
        found = self.monthly_statement(wanted)
        issued = found["issued"]["message_id"] if found["issued"] else None
        named = [one["message_id"] for one in decisions if "unproven" not in one]
        messages = list(dict.fromkeys([*named, *([issued] if issued else [])]))
        parts = [
            self._connection.get(
                self._at("audit", "entries"),
                {"message": ",".join(messages[start : start + _MOST_ENTRIES]) or None},
            )
            for start in range(0, max(len(messages), 1), _MOST_ENTRIES)
        ]
        return {
            "format": FORMAT,
            "origin": parts[0]["origin"],
            "log_key": parts[0]["log_key"],
            "statement": found["statement"],
            "issued": issued,
            "decisions": decisions,
            "proofs": [{"checkpoint": part["checkpoint"], "entries": part["entries"]} for part in parts],
        }

    def _asking_decisions(self, month: str, after: str | None) -> Page[dict[str, Any]]:
        url = self._at("routing", "statement", "month", "decisions")
        page = self._connection.page(url, {"month": month, "after": after, "limit": 200})
        return cast("Page[dict[str, Any]]", page)

    def _csv(self, *path: str, **params: str | int | None) -> str:
        return self._connection.csv(self._at("routing", *path), params)
