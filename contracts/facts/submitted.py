"""Partners' submissions that an API accepted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import Length, OneOf

from contracts.codes import (
    CONSENT_REVOKED,
    Answer,
    CoordinatorAct,
    DeclineReason,
    HandBackReason,
    InterventionReason,
    Outcome,
    ProgressStatus,
    SealedContent,
    UnreadableReason,
    WithdrawalReason,
)
from contracts.facts.fact import Fact, OpenNote, fact
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.referral import ReferralFacts

# Why a coordinator withdraws a referral for an organisation.
CoordinatorReason = Annotated[str, OneOf([*(reason.value for reason in WithdrawalReason), CONSENT_REVOKED])]


# The name of a rule of routing.
RuleName = Annotated[str, Length(min=1, max=100)]


@fact("referral.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralSubmitted(Fact):
    """onward_from: the referral that the sender refers onward with this one, as it states. Routing checks it.

    None in messages of earlier builds.
    """

    referral_id: ReferralId
    sender: OrganizationId
    facts: ReferralFacts
    onward_from: ReferralId | None = None


@fact("answer.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSubmitted(Fact):
    """note: read in messages of earlier builds, never written: notes are sent as `sealed_note.submitted`."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    answer: Answer
    reason: DeclineReason | None = None
    note: OpenNote | None = None


@fact("progress.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    status: ProgressStatus


@fact("outcome.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    outcome: Outcome


@fact("hand_back.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class HandBackSubmitted(Fact):
    """The acceptor hands the referral back."""

    referral_id: ReferralId
    organization: OrganizationId
    reason: HandBackReason


@fact("withdrawal.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    reason: WithdrawalReason


@fact("revocation.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class RevocationSubmitted(Fact):
    """The person revoked the consent."""

    referral_id: ReferralId
    organization: OrganizationId


@fact("coordinator_withdrawal.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class CoordinatorWithdrawalSubmitted(Fact):
    """A coordinator withdraws a referral for an organisation that cannot submit it itself.

    organization: the sender, or, when the person revoked the consent, the acceptor; it is excluded from the
    hub or has no live client. reason: a withdrawal code, or `consent_revoked`.
    """

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
    reason: CoordinatorReason


@fact("note.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteSubmitted(Fact):
    """A note was forwarded. Its text is sent sealed."""

    referral_id: ReferralId
    organization: OrganizationId


@fact("unreadable.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableSubmitted(Fact):
    """An organisation cannot read sealed content. author: the author of a note; None for a case."""

    referral_id: ReferralId
    organization: OrganizationId
    content: SealedContent
    reason: UnreadableReason
    author: OrganizationId | None = None


@fact("replacement.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacementSubmitted(Fact):
    """The sender sent the case again. The case is sent as a sealed message.

    to: the acceptor that it is sealed to; None: the hub's custody key, for every acceptor.
    """

    referral_id: ReferralId
    organization: OrganizationId
    to: OrganizationId | None


@fact("placement.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementSubmitted(Fact):
    """A coordinator requests an offer of a referral to an organisation.

    The referral must be unplaced or have an open offer, or its acceptor must be suspended or overdue. reason:
    why an open offer or an acceptance is revoked for it; None for an unplaced referral. offers: those that
    the coordinator saw open or accepted; no other one is revoked. None in a fact of an earlier build: any.
    overridden: the rules that exclude the organisation and that the coordinator overrides; no other one is
    overridden. Without `not_in_chain`: the sender reads it, and may not know who held the case earlier. None
    in a fact of an earlier build: any.
    """

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
    reason: InterventionReason | None = None
    offers: tuple[OfferId, ...] | None = None
    overridden: tuple[RuleName, ...] | None = None


@fact("intervention.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class InterventionSubmitted(Fact):
    """A coordinator acts on a referral that waits for an organisation.

    organization: the holder of an open offer, or the acceptor; None for all that the referral waits for.
    until: the new deadline; only for `extend`. offers: those that the coordinator saw open or accepted; the
    act concerns no other one. None in a fact of an earlier build: any.
    """

    referral_id: ReferralId
    organization: OrganizationId | None
    coordinator: str
    act: CoordinatorAct
    reason: InterventionReason
    until: dt.datetime | None = None
    offers: tuple[OfferId, ...] | None = None
