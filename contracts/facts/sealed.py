"""Letters: ciphertext, on `kopuro.cases` only."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.facts.fact import Fact, fact
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.referral import SealedText
from contracts.topology import CASES


@fact("sealed_case.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseSubmitted(Fact):
    """intake -> vault. to: the receiver whose key the sender sealed it to, None: the custody key."""

    referral_id: ReferralId
    sender: OrganizationId
    to: OrganizationId | None
    case: SealedText


@fact("letter.case_resealed", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResealed(Fact):
    """intake -> vault: the case in place of one that its acceptor `to` could not read, sealed to `to`."""

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
    case: SealedText


@fact("sealed_note.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedNoteSubmitted(Fact):
    """intake -> vault: a note that its author sealed to the other party.

    offer_id: the offer that the author declines with this note, which is for the referral's sender.
    """

    referral_id: ReferralId
    author: OrganizationId
    note: SealedText
    offer_id: OfferId | None = None


@fact("sealed_note.released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedNoteReleased(Fact):
    """vault -> delivery -> the other party's mailbox."""

    referral_id: ReferralId
    organization: OrganizationId
    author: OrganizationId
    note: SealedText
    offer_id: OfferId | None = None
