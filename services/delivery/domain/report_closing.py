"""Closing of messages with watch reports: a retraction, the recipient's opt-out, and the report's expiry.

Sealed reports and the facts that end them arrive by different queues, so an end may arrive first. It is
remembered for a while, and a report that arrives after it is stored without content.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts import facts
from services.delivery.domain.closing import End

RETRACTED: Final = "retracted"
OPTED_OUT: Final = "opted_out"
EXPIRED: Final = "expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveredReport:
    """A watch report in the mailbox of one organisation. sent_at: by the directory, before an end of it."""

    message_id: str
    report_id: str
    organization: str
    sent_at: dt.datetime
    expires_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportEnd:
    """The end of the report `subject`, or of all reports to the organisation `subject` up to that time."""

    subject: str
    end: End


def report_end(fact_type: str, data: Mapping[str, Any], at: dt.datetime) -> ReportEnd | None:
    """Return the end that a fact states, None if it states none. data: of the CloudEvent; at: its time."""
    if fact_type == facts.EmployerReportRetracted.type:
        return ReportEnd(subject=data["report_id"], end=End(reason=RETRACTED, at=at))
    if fact_type == facts.WatchReportsChosen.type and not data["receives"]:
        return ReportEnd(subject=data["organization"], end=End(reason=OPTED_OUT, at=at))
    return None


def end_of(report: DeliveredReport, ends: Mapping[str, End]) -> End | None:
    """Return the end that closes the report. ends: by subject.

    An opt-out does not close a report that was sent after it: the organisation has opted in again.
    """
    opted_out = ends.get(report.organization)
    if opted_out is not None and report.sent_at > opted_out.at:
        opted_out = None
    return ends.get(report.report_id) or opted_out
