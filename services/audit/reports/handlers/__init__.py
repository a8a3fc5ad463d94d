"""Use cases of the reports. The log records every read as an entry."""

from __future__ import annotations

from dataclasses import dataclass

from services.audit.reports.handlers.export import Export
from services.audit.reports.handlers.history import History
from services.audit.reports.handlers.proved_entries import ProvedEntries
from services.audit.reports.handlers.statistics import StatisticsHandler


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportHandlers:
    """The handlers behind the report resources."""

    history: History
    statistics: StatisticsHandler
    export: Export
    proved_entries: ProvedEntries
