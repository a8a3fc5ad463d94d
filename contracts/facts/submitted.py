"""What partners said, and intake admitted."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.codes import (
    Answer,
    DeclineReason,
    Outcome,
    ProgressStatus,
    SealedContent,
    UnreadableReason,
    WithdrawalReason,
)
from contracts.facts.fact import Fact, OpenNote, fact
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.referral import ReferralFacts


@fact("referral.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralSubmitted(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    facts: ReferralFacts


@fact("answer.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSubmitted(Fact):
    """note: read from earlier builds' messages, never written: a note travels as `sealed_note.submitted`."""

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


@fact("withdrawal.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    reason: WithdrawalReason


@fact("revocation.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class RevocationSubmitted(Fact):
    """The person took the consent back."""

    referral_id: ReferralId
    organization: OrganizationId


@fact("note.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteSubmitted(Fact):
    """That a note was passed on; its words travel sealed."""

    referral_id: ReferralId
    organization: OrganizationId


@fact("unreadable.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableSubmitted(Fact):
    """An organisation cannot read what was sealed to it. author: of a note; None for a case."""

    referral_id: ReferralId
    organization: OrganizationId
    content: SealedContent
    reason: UnreadableReason
    author: OrganizationId | None = None


@fact("replacement.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacementSubmitted(Fact):
    """The sender sent the case again, sealed to its acceptor `to`; the case itself travels as a letter."""

    referral_id: ReferralId
    organization: OrganizationId
    to: OrganizationId


@fact("placement.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementSubmitted(Fact):
    """A coordinator asks for an unplaced referral to be offered to an organisation."""

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
