"""Use cases of the reports. Every read is recorded as an entry of the log."""

from __future__ import annotations

from dataclasses import dataclass

from services.audit.reports.handlers.export import Export
from services.audit.reports.handlers.history import History
from services.audit.reports.handlers.statistics import StatisticsHandler


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportHandlers:
    """What the reports' resources call."""

    history: History
    statistics: StatisticsHandler
    export: Export
