"""Sealed messages: ciphertext, published only on `kopuro.cases`."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.facts.fact import Fact, fact
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.referral import ResealedText, SealedText
from contracts.topology import CASES


@fact("sealed_case.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseSubmitted(Fact):
    """intake -> vault. to: the receiver whose key the case is sealed to; None: the custody key."""

    referral_id: ReferralId
    sender: OrganizationId
    to: OrganizationId | None
    case: SealedText


@fact("sealed_case.replaced", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseReplaced(Fact):
    """intake -> vault: a replacement, sealed to the acceptor `to`, for a case that it could not read."""

    referral_id: ReferralId
    sender: OrganizationId
    to: OrganizationId
    case: SealedText


@fact("sealed_case.released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseReleased(Fact):
    """vault -> delivery: the case, sealed to the acceptor."""

    referral_id: ReferralId
    organization: OrganizationId
    kid: str
    case: ResealedText


@fact("sealed_note.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedNoteSubmitted(Fact):
    """intake -> vault: a note that its author sealed to the other party.

    offer_id: the offer that the author declines with this note; the note is then for the referral's sender.
    """

    referral_id: ReferralId
    author: OrganizationId
    note: SealedText
    offer_id: OfferId | None = None


@fact("sealed_note.released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedNoteReleased(Fact):
    """vault -> delivery -> mailbox of the other party."""

    referral_id: ReferralId
    organization: OrganizationId
    author: OrganizationId
    note: SealedText
    offer_id: OfferId | None = None
