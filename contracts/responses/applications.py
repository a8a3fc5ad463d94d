"""Response bodies about applications. Only `ApplicationRecord`, for the staff, shows what was sent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.application import Application
from contracts.codes import ApplicationRefusal, ApplicationState
from contracts.identifiers import OrganizationId, Uuid


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationReceipt:
    """The response to an application. reference: shown only here; null if the applicant made it.

    salt: 32 bytes in base64url that open the commitment to the application in the hub's log; null for the
    repetition of one that has ended.
    """

    id: Uuid
    reference: str | None
    state: ApplicationState
    salt: str | None
    expires_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationStatus:
    """The state of an application, for its applicant.

    expires_at: when it ends if nobody decides, and later when it is deleted. organization: its id as a
    member, once it is vetted. next: what to do then.
    """

    id: Uuid
    state: ApplicationState
    submitted_at: dt.datetime
    expires_at: dt.datetime
    reason: ApplicationRefusal | None
    note: str | None
    organization: OrganizationId | None
    next: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationRecord:
    """An application as the staff see it. application: null once it was vetted, withdrawn or has expired.

    salt: opens the commitment in the log, while the application is kept. approval_id: of the request to vet.
    """

    id: Uuid
    state: ApplicationState
    submitted_at: dt.datetime
    expires_at: dt.datetime
    application: Application | None
    salt: str | None
    approval_id: Uuid | None
    organization: OrganizationId | None
    decided_by: str | None
    decided_at: dt.datetime | None
    reason: ApplicationRefusal | None
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationRoom:
    """How many applications count towards the limit, and the limit.

    taken: the open ones, and those that were withdrawn within a day of being sent.
    """

    taken: int
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationList:
    """A page of applications. room: how many count towards the limit. next: null on the last page."""

    items: tuple[ApplicationRecord, ...]
    next: str | None
    room: ApplicationRoom
