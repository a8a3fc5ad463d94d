"""Facts about applications to join the network. None says who applied: an applicant is not a member."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.codes import ApplicationRefusal, ApplicationStep
from contracts.commitment import Commitment
from contracts.facts.fact import Fact, fact
from contracts.identifiers import OrganizationId, Uuid


@fact("application.submitted", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationSubmitted(Fact):
    """An organisation applied. expires_at: when the application ends if nobody decides about it.

    content: a commitment to the application (`domain/application.py` of the directory). The applicant holds
    its salt, and the directory does until the application ends.
    """

    application_id: Uuid
    content: Commitment
    expires_at: dt.datetime


@fact("application.decided", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationDecided(Fact):
    """A step of an application. by: the member of the staff; None: the applicant, or nobody for an expiry.

    The directory itself ends a request to vet when its application or its time has ended. reason: of a
    refusal. approval_id: of the request to vet it, which holds exactly what was decided on. organization: the
    id that it has, or is to have, as a member.
    """

    application_id: Uuid
    step: ApplicationStep
    by: str | None = None
    reason: ApplicationRefusal | None = None
    approval_id: Uuid | None = None
    organization: OrganizationId | None = None
