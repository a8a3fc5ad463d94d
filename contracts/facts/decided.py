"""Routing's decisions about referrals and offers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import Length, OneOf

from contracts.canonical import Count
from contracts.codes import (
    CoordinatorAct,
    DeclineReason,
    HandBackReason,
    InterventionReason,
    Outcome,
    ProgressStatus,
    UnreadableReason,
    Urgency,
)
from contracts.commitment import Commitment
from contracts.facts.fact import Fact, OpenNote, fact
from contracts.identifiers import (
    MessageId,
    NeedCode,
    OfferId,
    OrganizationId,
    ReferralId,
    Region,
    ShortText,
    Slug,
)
from contracts.referral import Situation


@fact("offer.opened")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferOpened(Fact):
    """rank: 1 for the best candidate. deadline: an offer without an answer by then expires."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    rank: Count
    opened_at: dt.datetime
    deadline: dt.datetime
    facts: Situation


@fact("offer.accepted")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferAccepted(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId


@fact("offer.declined")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferDeclined(Fact):
    """note: read in messages of earlier builds, never written."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: DeclineReason
    note: OpenNote | None = None


@fact("offer.expired")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferExpired(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId


@fact("offer.revoked")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferRevoked(Fact):
    """reason: why the network revoked the offer."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: Annotated[
        str,
        OneOf(
            [
                "accepted_elsewhere",
                "withdrawn",
                "consent_revoked",
                "failed",
                "organization_suspended",
                "moved_on",
            ]
        ),
    ]


@fact("answer.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRefused(Fact):
    """An accepted submission of an answer that cannot take effect (too late, not the offer's organisation).

    Sent to the organisation that answered.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("submission.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionRefused(Fact):
    """Any other accepted submission that cannot take effect. Sent to the organisation that submitted it."""

    referral_id: ReferralId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("placement.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRefused(Fact):
    """A placement that cannot take effect. Sent to the coordinators.

    Routing publishes it for a request refused at its API as well; `placement.submitted` then does not exist.
    organization: the one the coordinator asked for. problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("coordinator_withdrawal.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class CoordinatorWithdrawalRefused(Fact):
    """A withdrawal by a coordinator that cannot take effect. Sent to the coordinators.

    Routing publishes it for a request refused at its API as well; `coordinator_withdrawal.submitted` then
    does not exist. organization: the one the coordinator acted for. problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("placement.answered")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementAnswered(Fact):
    """The result of an offer that a coordinator placed by hand. Sent to the coordinators.

    result: the offer's state. reason: why it was declined, revoked or returned. After `expired`, a second
    result follows when the network processes an answer that it received before the deadline; after
    `accepted`, when the acceptor hands the referral back or is suspended and replaced.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    coordinator: str
    result: Annotated[str, OneOf(["accepted", "declined", "expired", "revoked", "returned"])]
    reason: str | None = None


@fact("intervention.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class InterventionRefused(Fact):
    """A coordinator's intervention that cannot take effect. Sent to the coordinators.

    Routing publishes it for a request refused at its API as well; `intervention.submitted` then does not
    exist. problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId | None
    coordinator: str
    act: CoordinatorAct
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("hand_back.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class HandBackRefused(Fact):
    """An accepted hand-back that cannot take effect. Sent to the organisation that submitted it.

    problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("intervention.applied")
@dataclass(frozen=True, kw_only=True, slots=True)
class InterventionApplied(Fact):
    """A coordinator's intervention took effect, for one organisation that the referral waited for.

    Sent to the sender, the organisation and the coordinators. deadline: the time by which the organisation
    must answer or report; None for `move_on`, which revokes its offer or its acceptance.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    coordinator: str
    act: CoordinatorAct
    reason: InterventionReason
    deadline: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CommittedDecision:
    """One routing decision. commitment: to its stored record, which names the versions of its inputs."""

    decision_id: MessageId
    commitment: Commitment


@fact("decisions.recorded", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionsRecorded(Fact):
    """The decisions that routing stored in one transaction. Only for the log.

    A record rewritten later no longer opens its commitment. The fact says nothing about a person, so it
    outlives the erasure of a referral's content.
    """

    decisions: Annotated[tuple[CommittedDecision, ...], Length(min=1)]


@fact("routing_policy.applied", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingPolicyApplied(Fact):
    """A routing policy took effect. Later decisions name its version.

    number: 1 for a hub's first policy, one more for each later one. digest: hexadecimal SHA-256 of the
    policy's canonical JSON (RFC 8785). previous: the version that it replaces, None for the first. by: the
    login name at the operator's machine, or `routing` for the first policy, which the service stores itself.
    """

    number: Count
    version: ShortText
    digest: str
    policy: Mapping[str, Any]
    by: str
    previous: ShortText | None = None


@fact("referral.unplaced")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralUnplaced(Fact):
    """No candidate is left: a coordinator must place the referral by hand."""

    referral_id: ReferralId
    sender: OrganizationId
    decision_id: MessageId
    urgency: Urgency
    region: Region
    needs: tuple[NeedCode, ...]
    reason: Annotated[str, OneOf(["no_candidate", "candidates_exhausted"])]


@fact("referral.progressed")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralProgressed(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    status: ProgressStatus


@fact("referral.completed")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralCompleted(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    outcome: Outcome


@fact("referral.withdrawn")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralWithdrawn(Fact):
    """organization: the acceptor, when there is one. reason: a withdrawal code, or `consent_revoked`.

    coordinator: who withdrew it for an organisation that could not; None if a party did it itself.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId | None
    reason: str
    coordinator: str | None = None


@fact("referral.failed")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralFailed(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId | None
    reason: Annotated[str, OneOf(["case_unreadable"])]


@fact("referral.overdue")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralOverdue(Fact):
    """The acceptor reported no progress or outcome by the deadline."""

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    due_at: dt.datetime


@fact("referral.unanswered")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralUnanswered(Fact):
    """Nobody has accepted an emergency, and an offer of it has waited too long: a coordinator must act.

    since: when that offer was opened. waits_for: the organisations with an open offer. Published once for
    the same offers, and again when all of them have ended and later ones wait as long.
    """

    referral_id: ReferralId
    sender: OrganizationId
    since: dt.datetime
    waits_for: Annotated[tuple[OrganizationId, ...], Length(max=100)]


@fact("alert.closed")
@dataclass(frozen=True, kw_only=True, slots=True)
class AlertClosed(Fact):
    """The coordinators need not act on a message any more. message_type: its type, of the same referral.

    by: the coordinator or the organisation that acted; None when the hub did, such as when it found another
    candidate. Not published when the referral ends: that closes all its messages.
    """

    referral_id: ReferralId
    message_type: Annotated[
        str,
        OneOf(["kopuro.referral.unanswered.v1", "kopuro.referral.unplaced.v1", "kopuro.referral.overdue.v1"]),
    ]
    by: str | None = None


@fact("referral.acceptor_suspended")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralAcceptorSuspended(Fact):
    """The acceptor was suspended, left the network or became inactive while it held the referral.

    It can no longer read the case. Nothing else changes automatically: a coordinator may place the referral
    with another organisation (`acceptance.revoked`).
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId


@fact("acceptance.revoked")
@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptanceRevoked(Fact):
    """A coordinator revoked the acceptance of a suspended or overdue acceptor, to ask another organisation.

    organization: the former acceptor. offer_id: the offer that it had accepted. The referral is offered to
    the organisation of the coordinator's placement, or to the next candidate (`offer.opened` with the same
    cause). reason: `report_overdue` if the acceptor missed a report.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    coordinator: str
    reason: Annotated[str, OneOf(["organization_suspended", "report_overdue"])] = "organization_suspended"


@fact("referral.handed_back")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralHandedBack(Fact):
    """The acceptor handed the referral back. It may no longer read the case; the next candidates are asked.

    organization: the former acceptor. offer_id: the offer that it had accepted.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: HandBackReason


@fact("directory_correction.suggested")
@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryCorrectionSuggested(Fact):
    """A decline or a hand-back contradicts the directory, so the organisation should correct its service.

    Sent to the organisation and the coordinators. reason: of the decline or hand-back. part: the part of the
    service's record that allowed the offer. The fact says nothing about the person, because the organisation
    no longer reads the referral's facts.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    service: Slug
    reason: Annotated[str, OneOf(["not_eligible", "out_of_area", "language"])]
    part: Annotated[str, OneOf(["eligibility", "areas", "languages"])]


@fact("case.unreadable")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseUnreadable(Fact):
    """The acceptor cannot read the case. The sender must send it again by `replace_by`.

    organization: the acceptor. At `replace_by` the referral is reported overdue.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    reason: UnreadableReason
    replace_by: dt.datetime


@fact("note.unreadable")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteUnreadable(Fact):
    """The organisation `reader` cannot read a note. organization: the author of the note."""

    referral_id: ReferralId
    organization: OrganizationId
    reader: OrganizationId
    reason: UnreadableReason
