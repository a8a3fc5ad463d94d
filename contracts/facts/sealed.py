"""Sealed messages: ciphertext, published only on `kopuro.cases`.

Messages from intake to the vault are sealed again, to a short-lived key of the vault, the transit key.
Only the JWE's header and wrapped content key are sealed again: without them the rest of the JWE cannot be
opened, even with the key that the JWE was sealed to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import Length

from contracts.facts.fact import Fact, fact
from contracts.identifiers import OfferId, OrganizationId, Pattern, ReferralId
from contracts.jose import LONGEST_SEALED
from contracts.referral import ResealedText, SealedText
from contracts.topology import CASES

# A whole compact JWE (five parts), or, beside a TransitSeal, its last three: IV, ciphertext, tag.
TransitText = Annotated[
    str,
    Length(max=LONGEST_SEALED),
    Pattern(
        r"^([A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.)?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+$",
        error="Must be a JWE in compact serialisation, or its last three parts.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitSeal:
    """The first two parts of a compact JWE, sealed to a transit key.

    kid: RFC 7638 thumbprint of the transit key. key: base64url (layout: `runtime.transit_seal`).
    """

    kid: str
    key: Annotated[str, Length(max=8192), Pattern(r"^[A-Za-z0-9_-]+$", error="Must be base64url.")]


@fact("sealed_case.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseSubmitted(Fact):
    """intake -> vault. to: the receiver whose key the case is sealed to; None: the custody key.

    transit: None in messages of earlier builds, whose `case` is the whole JWE.
    """

    referral_id: ReferralId
    sender: OrganizationId
    to: OrganizationId | None
    case: TransitText
    transit: TransitSeal | None = None


@fact("sealed_case.replaced", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseReplaced(Fact):
    """intake -> vault: a replacement for a case.

    to: the acceptor whose key it is sealed to; None: the custody key, and it replaces the case in custody.
    transit: None in messages of earlier builds, whose `case` is the whole JWE.
    """

    referral_id: ReferralId
    sender: OrganizationId
    to: OrganizationId | None
    case: TransitText
    transit: TransitSeal | None = None


@fact("sealed_case.released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCaseReleased(Fact):
    """vault -> delivery: the case, sealed to the acceptor.

    offer_id: the accepted offer. A case that arrives after the end of that acceptance is not kept. None in
    messages of earlier builds.
    """

    referral_id: ReferralId
    organization: OrganizationId
    kid: str
    case: ResealedText
    offer_id: OfferId | None = None


@fact("sealed_note.submitted", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedNoteSubmitted(Fact):
    """intake -> vault: a note that its author sealed to the other party.

    offer_id: the offer that the author declines with this note; the note is then for the referral's sender.
    hand_back: whether the author hands the referral back with this note, which is for the sender too.
    transit: None in messages of earlier builds, whose `note` is the whole JWE.
    """

    referral_id: ReferralId
    author: OrganizationId
    note: TransitText
    offer_id: OfferId | None = None
    transit: TransitSeal | None = None
    hand_back: bool = False

    @property
    def explains(self) -> bool:
        """Whether the note explains a decline or a hand-back, and is forwarded once that takes effect."""
        return self.hand_back or self.offer_id is not None


@fact("sealed_note.released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealedNoteReleased(Fact):
    """vault -> delivery -> mailbox of the other party.

    offer_id: the offer that the author declined with this note. acceptance: the accepted offer, if the note
    is for the acceptor. A note that arrives after the end of that acceptance is kept without content. None in
    messages of earlier builds.
    """

    referral_id: ReferralId
    organization: OrganizationId
    author: OrganizationId
    note: SealedText
    offer_id: OfferId | None = None
    acceptance: OfferId | None = None
