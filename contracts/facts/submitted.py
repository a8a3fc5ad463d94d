"""What partners said, and intake admitted."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.codes import Answer, DeclineReason, Outcome, ProgressStatus, WithdrawalReason
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
    """note: read from earlier builds' messages, never written: a note travels as `letter.note_sealed`."""

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


@fact("placement.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementSubmitted(Fact):
    """A coordinator asks for an unplaced referral to be offered to an organisation."""

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
