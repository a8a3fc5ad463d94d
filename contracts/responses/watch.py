"""Response bodies about watch reports. Only `OwnReport`, for the reporter itself, is about a single one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.codes import EmployerPractice, ReporterClass
from contracts.employer import Allegation, Employer
from contracts.identifiers import OrganizationId, Uuid
from contracts.organization import SealingKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The reply of an employer. by: the coordinator that entered it."""

    text: str
    by: str
    at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedEmployer:
    """An employer that at least two unrelated organisations report.

    employer, practices, first_month, last_month: as two of them state it. The months are null if no month is
    in the reports of two. reporters: how many organisations, as a class. until: the month in which it is no
    longer watched, unless a report follows.
    """

    id: Uuid
    employer: Employer
    practices: tuple[EmployerPractice, ...]
    first_month: str | None
    last_month: str | None
    reporters: ReporterClass
    until: str
    reply: Reply | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnReport(Allegation):
    """A report of the caller. retracted_at: null while it counts, or until it expires."""

    id: Uuid
    recipients: tuple[OrganizationId, ...]
    reported_at: dt.datetime
    expires_at: dt.datetime
    retracted_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchRecipient:
    """An organisation that receives watch reports, and the key that evidence for it is sealed to."""

    organization: OrganizationId
    name: str
    sealing_key: SealingKey


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchOptIn:
    """Whether the caller has opted in to watch reports. since: null if it has not."""

    receives: bool
    since: dt.datetime | None
