"""Facts about reported employers. No open fact names an organisation that reported."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from contracts.commitment import Commitment
from contracts.employer import Allegation, Employer, ReplyText
from contracts.facts.fact import Fact, fact
from contracts.identifiers import OrganizationId, Pattern, Uuid
from contracts.referral import SealedText
from contracts.topology import CASES

# base64url of the 32 bytes that open a commitment.
Salt = Annotated[str, Pattern(r"^[A-Za-z0-9_-]{43}$", error="Must be 32 bytes in base64url.")]


@fact("employer.reported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReported(Fact):
    """An organisation reported an employer. recipients: the organisations that its evidence is sealed to.

    reporter: a commitment to the reporting organisation (`domain/watch_report.py` of the directory). The
    recipients hold its salt.
    """

    report_id: Uuid
    allegation: Allegation
    reporter: Commitment
    recipients: tuple[OrganizationId, ...]
    expires_at: dt.datetime


@fact("employer.report_retracted", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReportRetracted(Fact):
    """The organisation that reported takes its report back. recipients: those that had received it."""

    report_id: Uuid
    recipients: tuple[OrganizationId, ...]


@fact("employer.replied", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReplied(Fact):
    """A coordinator entered the employer's reply. by: the coordinator.

    recipients: the organisations that received a report which counts now.
    """

    watched_id: Uuid
    employer: Employer
    text: ReplyText
    by: str
    recipients: tuple[OrganizationId, ...]


@fact("watch_reports.chosen", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class WatchReportsChosen(Fact):
    """An organisation opted in to watch reports, or out again. by: its client's principal."""

    organization: OrganizationId
    receives: bool
    by: str


@fact("sealed_report.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedReportSubmitted(Fact):
    """directory -> delivery: a report for one organisation that opted in.

    salt: opens the commitment in `employer.reported`. evidence: a compact JWE to the organisation's key.
    """

    report_id: Uuid
    organization: OrganizationId
    reporter: OrganizationId
    allegation: Allegation
    salt: Salt
    evidence: SealedText
    expires_at: dt.datetime


@fact("employer_report.delivered", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReportDelivered(Fact):
    """The mailbox message of `sealed_report.submitted`, with the same members."""

    report_id: Uuid
    organization: OrganizationId
    reporter: OrganizationId
    allegation: Allegation
    salt: Salt
    evidence: SealedText
    expires_at: dt.datetime
