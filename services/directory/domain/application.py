"""An application to join the network: its states, and what remains of it after each step.

An applicant is not an organisation yet: only the resources of applications read this aggregate. The content
is kept until the application is decided or ends. After vetting only the organisation's record remains.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from contracts.application import Application, ApplicationRejection, ApplicationVetting
from contracts.codes import ApplicationRefusal, ApplicationState, ApplicationStep, Vetting
from contracts.commitment import commitment_to
from contracts.errors import PointerError, Refused
from contracts.jose import decoded
from contracts.organization import Organization
from contracts.records import canonical

_DOMAIN: Final = b"kopuro application\n"

TRANSITIONS: Final[Mapping[ApplicationState, Mapping[ApplicationStep, ApplicationState]]] = {
    ApplicationState.waiting: {
        ApplicationStep.vetting_requested: ApplicationState.in_approval,
        ApplicationStep.vetted: ApplicationState.vetted,
        ApplicationStep.refused: ApplicationState.refused,
        ApplicationStep.withdrawn: ApplicationState.withdrawn,
        ApplicationStep.expired: ApplicationState.expired,
    },
    ApplicationState.in_approval: {
        ApplicationStep.vetting_requested: ApplicationState.in_approval,
        ApplicationStep.vetting_ended: ApplicationState.waiting,
        ApplicationStep.vetted: ApplicationState.vetted,
        ApplicationStep.refused: ApplicationState.refused,
        ApplicationStep.withdrawn: ApplicationState.withdrawn,
    },
    ApplicationState.vetted: {},
    ApplicationState.refused: {},
    # The staff refuse a withdrawn application so that it no longer counts towards the limit for a day.
    ApplicationState.withdrawn: {ApplicationStep.refused: ApplicationState.refused},
    ApplicationState.expired: {},
}
# The states in which somebody has to decide.
OPEN: Final = frozenset({ApplicationState.waiting, ApplicationState.in_approval})
# A refused application is kept for a while, so that the staff can answer questions about the refusal.
_KEEPS_CONTENT: Final = OPEN | {ApplicationState.refused}


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptApplication:
    """An application. content: None once it need not be kept; salt: opens `commitment`, base64url.

    expires_at: while it is open, when it expires; afterwards, when its last traces are deleted.
    approval_id: of the latest request to vet it. organization: the id that it has or is to have.
    """

    id: str
    state: ApplicationState
    content: Application | None
    salt: str | None
    reference_sha256: str
    submitted_at: dt.datetime
    expires_at: dt.datetime
    approval_id: str | None = None
    organization: str | None = None
    decided_by: str | None = None
    decided_at: dt.datetime | None = None
    reason: ApplicationRefusal | None = None
    note: str | None = None

    @property
    def is_open(self) -> bool:
        """Return whether somebody has to decide about it."""
        return self.state in OPEN

    def opens_with(self, reference: str) -> bool:
        """Return whether this is the applicant's reference."""
        return hmac.compare_digest(self.reference_sha256, reference_digest(reference))

    def step(
        self, step: ApplicationStep, *, by: str | None, at: dt.datetime, kept: dt.timedelta
    ) -> KeptApplication:
        """Return the application after the step. Raises Refused `conflict` if its state does not permit it.

        kept: how long its traces are kept after an end.
        """
        following = TRANSITIONS[self.state].get(step)
        if following is None:
            raise Refused("conflict", f"The application is already {self.state.replace('_', ' ')}.")
        if following in OPEN:
            return replace(self, state=following, decided_by=by, decided_at=at)
        ended = replace(self, state=following, decided_by=by, decided_at=at, expires_at=at + kept)
        return ended if following in _KEEPS_CONTENT else replace(ended, content=None, salt=None)


def reference_digest(reference: str) -> str:
    """Return the SHA-256 of a reference, hexadecimal."""
    return sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()


def commitment(application_id: str, content: Application, salt: str) -> str:
    """Return the commitment to an application that the log holds."""
    return commitment_to(application_id.encode() + b"\n" + canonical(content), decoded(salt), domain=_DOMAIN)


def as_organization(
    content: Application, vetting: ApplicationVetting, *, by: str, on: dt.date
) -> Organization:
    """Return the record of the organisation that the application becomes.

    by: the member of the staff who asks to vet it. Raises Refused `invalid-submission` without an id.
    """
    organization_id = vetting.id or content.proposed_id
    if organization_id is None:
        where = PointerError(pointer="/id", detail="Required, because the application proposes no id.")
        raise Refused("invalid-submission", "The organisation needs an id.", errors=[where])
    return Organization(
        id=organization_id,
        name=content.name,
        kind=content.kind,
        country=content.country,
        languages=content.languages,
        description=content.description,
        parent=None if vetting.without_parent else vetting.parent or content.parent,
        vetting=Vetting.vetted,
        vetted_by=by,
        vetted_on=on,
    )


def rejected(
    application: KeptApplication,
    rejection: ApplicationRejection,
    *,
    by: str,
    at: dt.datetime,
    kept: dt.timedelta,
) -> KeptApplication:
    """Return the application as refused. Raises Refused `conflict` as `step` does."""
    ended = application.step(ApplicationStep.refused, by=by, at=at, kept=kept)
    return replace(ended, reason=rejection.reason, note=rejection.note)
