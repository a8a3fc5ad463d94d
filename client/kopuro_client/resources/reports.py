"""Reports: what happened in the network in a week, and to one's own organisation."""

from __future__ import annotations

from typing import cast

from kopuro_client.report_records import SpanTotals, Statement, WeeklyReport
from kopuro_client.resources.connected import Connected


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

    def _csv(self, *path: str, **params: str | int | None) -> str:
        return self._connection.csv(self._at("routing", *path), params)
