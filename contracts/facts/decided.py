"""Routing's decisions about referrals."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

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
from contracts.facts.fact import Fact, fact
from contracts.identifiers import (
    MessageId,
    NeedCode,
    OfferId,
    OrganizationId,
    Pattern,
    ReferralId,
    Region,
    Slug,
)
from contracts.part_id import MOST_PARTS
from contracts.referral import ReferralFacts


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
    """organization: the acceptor; None for a referral that was split, which its parts complete."""

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId | None
    outcome: Outcome


@fact("referral.withdrawn")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralWithdrawn(Fact):
    """organization: the acceptor, when there is one. reason: a withdrawal code, or `consent_revoked`.

    A referral that had ended before `consent_revoked` keeps its status; what is held about the person is
    erased anyway.

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
    """The referral cannot continue. organization: the acceptor, when there is one.

    not_the_acceptor: `onward_from` names no referral that the sender has accepted; whether it exists is not
    said. chain_too_long: too many onward referrals precede it. too_many_onward: too many follow the earlier
    one.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId | None
    reason: Annotated[
        str, OneOf(["case_unreadable", "not_the_acceptor", "chain_too_long", "too_many_onward"])
    ]


@fact("referral.referred_onward")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralReferredOnward(Fact):
    """The acceptor referred the person onward, with a new referral. Sent to the sender and the acceptor.

    organization: the acceptor, which is the sender of the new referral `onward`. The fact contains nothing
    else about the new referral, which only its own parties may read.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    onward: ReferralId


@fact("referral.split")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralSplit(Fact):
    """No one organisation covers the needs: the referral continues in parts. Sent to the sender.

    parts: their ids, in their order; they follow from this referral's id and the positions. Each part is a
    referral of its own. Its acceptor receives the case of this referral, whose consent allows several
    organisations. The vault keeps this fact as evidence, so it says nothing about the person: `part.opened`
    has the needs of a part.
    """

    referral_id: ReferralId
    sender: OrganizationId
    parts: Annotated[tuple[ReferralId, ...], Length(min=2, max=MOST_PARTS)]


@fact("referral.rejoined")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralRejoined(Fact):
    """The referral is whole again: an acceptance of it that was sent in time was read after the split.

    Sent to the sender. parts: the ids of its parts, none of which had been accepted. They are withdrawn, and
    the referral is not split again.
    """

    referral_id: ReferralId
    sender: OrganizationId
    parts: Annotated[tuple[ReferralId, ...], Length(min=2, max=MOST_PARTS)]


@fact("part.opened")
@dataclass(frozen=True, kw_only=True, slots=True)
class PartOpened(Fact):
    """The first fact of a part, in place of `referral.submitted`. Sent to the sender.

    part_of: the referral that was split. facts: those of that referral, with the part's needs alone.
    """

    referral_id: ReferralId
    sender: OrganizationId
    part_of: ReferralId
    facts: ReferralFacts


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


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingReferrals:
    """A queue of the coordinators. oldest: when the first of its referrals was submitted; None if empty."""

    queue: Annotated[str, OneOf(["unplaced", "silent", "overdue", "acceptor_suspended", "emergency"])]
    referrals: Count
    oldest: dt.datetime | None = None


@fact("coordination.digest")
@dataclass(frozen=True, kw_only=True, slots=True)
class CoordinationDigest(Fact):
    """The coordinators' queues at one time, sent to them once for each day or week. Names no referral.

    period: `2026-11-27` or `2026-W48`. as_of: the time of the figures, which never change later. A referral
    may be in several queues.
    """

    period: Annotated[
        str, Pattern(r"^[0-9]{4}-([0-9]{2}-[0-9]{2}|W[0-9]{2})$", error="Must be a day or a week.")
    ]
    as_of: dt.datetime
    queues: Annotated[tuple[WaitingReferrals, ...], Length(min=1, max=10)]


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
        OneOf(
            [
                "kopuro.referral.unanswered.v1",
                "kopuro.referral.unplaced.v1",
                "kopuro.referral.overdue.v1",
                "kopuro.referral.acceptor_suspended.v1",
            ]
        ),
    ]
    by: str | None = None


@fact("referral.acceptor_suspended")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralAcceptorSuspended(Fact):
    """The acceptor was suspended, left the network or became inactive while it held the referral.

    It can no longer read the case. Nothing else changes automatically: a coordinator may place the referral
    with another organisation (`acceptance.revoked`). urgency, region, needs: of the referral, so that the
    coordinators see which one cannot wait; facts of earlier builds do not have them.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    urgency: Urgency | None = None
    region: Region | None = None
    needs: tuple[NeedCode, ...] = ()


@fact("referral.acceptor_declined_part")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralAcceptorDeclinedPart(Fact):
    """The acceptor of a part declined another part for a reason that concerns the person.

    It keeps the case until it hands the part back; a coordinator is asked to handle it.
    """

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    reason: DeclineReason


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
