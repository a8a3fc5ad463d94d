"""Response bodies of intake's resources. Routing makes the views of referrals; intake passes them on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from marshmallow.validate import OneOf

from contracts.codes import FHIR_TASK_STATUS, Answer, OfferState, Outcome, ReferralStatus, Urgency
from contracts.identifiers import MessageId, OfferId, OrganizationId, ReferralId
from contracts.quick_init import quick_init
from contracts.responses.form import OMITTED, Shape
from contracts.responses.mailbox import PROBLEM

_Band = Annotated[str, OneOf(("0", "1-4", "5-19", "20+"))]
_BANDS = Shape({"type": "object", "additionalProperties": {"enum": ["0", "1-4", "5-19", "20+"]}})


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A submission that is recorded durably and not yet decided. id: of the referral or the submission."""

    id: str
    status: Annotated[str, OneOf(("requested", "submitted"))]


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class LineResult:
    """The result of one line of a batch. id: of what was admitted (202), else there is a `problem`."""

    line: int
    status: int
    id: str | None = field(default=None, metadata=OMITTED)
    problem: Annotated[Mapping[str, Any] | None, PROBLEM] = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmittedSubmission:
    """A submission that intake admitted.

    id: as in the response to it: the referral's for a new referral, else the submission's. fact: what it
    became, such as `referral.submitted` or `answer.submitted`. published: whether the broker has it; until
    then it is safe in intake's database. own: whether the caller submitted it.
    """

    id: MessageId
    referral_id: ReferralId
    organization: OrganizationId
    fact: str
    admitted_at: dt.datetime
    published: bool
    own: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralSummary:
    """A referral in a list.

    acceptor: null also for a viewer that may not know it. urgency, region, needs: null for one that may no
    longer read the facts. part_of: the referral of which this one is a part; null to candidates.
    """

    id: ReferralId
    sender: OrganizationId
    status: ReferralStatus
    acceptor: OrganizationId | None
    urgency: Urgency | None
    region: str | None
    needs: tuple[str, ...] | None
    submitted_at: dt.datetime
    updated_at: dt.datetime
    part_of: ReferralId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PartView:
    """A part of a referral that was split. Its id names a referral of its own.

    waits_for: the acceptor, or the organisations with an open offer; none once it has ended, and while a
    coordinator must place it.
    """

    id: ReferralId
    needs: tuple[str, ...]
    status: ReferralStatus
    acceptor: OrganizationId | None
    waits_for: tuple[OrganizationId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferView:
    """An offer of a referral to an organisation. reason: why it was not accepted.

    state: open, accepted, declined, expired, revoked or returned (handed back). closed_at: since when the
    offer has this state, null while it is open; of an accepted one, when the API received the acceptance.
    late_answer: the first answer of the organisation that came too late and had no effect, or null. late_at:
    when it arrived.
    """

    id: OfferId
    organization: OrganizationId
    service: str
    state: OfferState
    rank: int
    opened_at: dt.datetime
    deadline: dt.datetime
    closed_at: dt.datetime | None
    reason: str | None
    late_answer: Answer | None = None
    late_at: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnOffer(OfferView):
    """An offer with its referral.

    state: open, accepted, declined, expired, revoked or returned (handed back).
    """

    referral_id: ReferralId
    sender: OrganizationId


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One entry of a referral's timeline. fact: the type without prefix and version; detail: its data."""

    time: dt.datetime
    fact: str
    organization: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralView:
    """A referral as the viewer may see it.

    facts: null for a viewer that may not read them, once they are reduced, and until routing has the
    referral; then urgency, region and needs are absent or null too. offers, timeline: to a candidate, its own
    only. timeline: the newest 200 steps, oldest first; an organisation's submission that was refused is a
    step for that organisation alone. timeline_truncated: whether there are earlier steps, which the story
    contains. due_at: when the acceptor's next report is due, null if there is no acceptor; overdue_since:
    when it became overdue. Both are null to a candidate that is not the acceptor. onward_from: the referral
    that the sender refers onward with this one; null to candidates. onward: the referrals by which this one
    was referred onward, to the sender and to the organisation that submitted them. part_of: the referral of
    which this one is a part. parts: those into which this one was split. Both only to the sender and staff.
    """

    id: ReferralId
    sender: OrganizationId
    status: ReferralStatus
    status_fhir: Annotated[str, OneOf(sorted(set(FHIR_TASK_STATUS.values())))]
    acceptor: OrganizationId | None
    outcome: Outcome | None
    submitted_at: dt.datetime
    updated_at: dt.datetime
    facts: Mapping[str, Any] | None
    offers: tuple[OfferView, ...]
    timeline: tuple[Step, ...]
    urgency: Urgency | None = None
    region: str | None = None
    needs: tuple[str, ...] | None = None
    due_at: dt.datetime | None = None
    overdue_since: dt.datetime | None = None
    onward_from: ReferralId | None = None
    onward: tuple[ReferralId, ...] = ()
    part_of: ReferralId | None = None
    parts: tuple[PartView, ...] = ()
    timeline_truncated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ProspectivePart:
    """Needs of a referral that one organisation could take together. candidates: how many could."""

    needs: tuple[str, ...]
    candidates: _Band


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospects:
    """A preview of routing: coarse counts of organisations, and the experience with earlier referrals.

    half_answered_seconds, found_nobody: null for fewer than five earlier referrals. more_by_language,
    more_by_region: about the first need. only_by_kind: about the first need or a part. parts: the fewest
    groups of needs that one organisation each could take; empty for a single need. would_split: whether the
    referral would be split into these parts.
    """

    candidates: _Band
    half_answered_seconds: int | None
    found_nobody: float | None
    more_by_language: Annotated[Mapping[str, str], _BANDS]
    more_by_region: Annotated[Mapping[str, str], _BANDS]
    only_by_kind: Annotated[Mapping[str, str], _BANDS]
    parts: tuple[ProspectivePart, ...] = ()
    would_split: bool = False
