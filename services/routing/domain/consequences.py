"""The consequences of each reason of a decline or a hand-back, besides asking the next candidate.

The table is shown in `docs/journey.md`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.codes import OfferState
from contracts.facts import DirectoryCorrectionSuggested
from services.routing.domain.offer import (
    ACCEPTED_ELSEWHERE,
    ACCEPTOR_SUSPENDED,
    OF_DIRECTORY,
    Offer,
)
from services.routing.domain.referral import Referral


@dataclass(frozen=True, kw_only=True, slots=True)
class Consequence:
    """is_full: the service counts as without capacity for a time (`policy.FullFor`).

    may_be_asked_again: after a decline the same referral may ask the organisation again, once it has
    reported capacity and that time has passed. corrects: the part of the service's record in the directory
    that the organisation should correct. concerns_person: the reason holds whatever the need is, so the
    organisation is asked about no other part of the referral either.
    """

    is_full: bool = False
    may_be_asked_again: bool = False
    corrects: str | None = None
    concerns_person: bool = False


# Keyed by the code of the reason. A reason with no consequence concerns this referral only: the organisation
# is not asked again for it.
CONSEQUENCES: Mapping[str, Consequence] = {
    "no_capacity": Consequence(is_full=True, may_be_asked_again=True),
    "not_eligible": Consequence(corrects="eligibility"),
    "out_of_area": Consequence(corrects="areas"),
    "language": Consequence(corrects="languages"),
    "conflict_of_interest": Consequence(concerns_person=True),
    "needs_reassessment": Consequence(),
    "person_prefers_another": Consequence(concerns_person=True),
    "other": Consequence(),
}
# The reasons that concern the person. The organisation's offers of other parts are revoked for them too.
CONCERN_PERSON = tuple(reason for reason, found in CONSEQUENCES.items() if found.concerns_person)
_NONE = Consequence()
# The reasons of a revocation that say nothing about the offer's holder.
_SAY_NOTHING = OF_DIRECTORY | {ACCEPTED_ELSEWHERE, ACCEPTOR_SUSPENDED}
# The states of an offer whose reason the organisation itself gave.
_GIVEN = frozenset({OfferState.declined, OfferState.returned})


def consequence_of(offer: Offer) -> Consequence:
    """Return the consequence of the offer's end; an empty one unless its organisation gave a reason."""
    return CONSEQUENCES[offer.reason] if offer.state in _GIVEN and offer.reason is not None else _NONE


def suggested_correction(referral: Referral, closed: Offer) -> tuple[DirectoryCorrectionSuggested, ...]:
    """Return the suggestion that follows from the end of an offer; empty if there is none.

    A coordinator may place a referral although the record says that the service does not serve it. Then the
    record may be right.
    """
    part = consequence_of(closed).corrects
    if part is None or closed.reason is None or closed.placed_by is not None:
        return ()
    return (
        DirectoryCorrectionSuggested(
            referral_id=referral.id,
            offer_id=closed.id,
            organization=closed.organization,
            service=closed.service,
            reason=closed.reason,
            part=part,
        ),
    )


def asked_before(referral: Referral) -> frozenset[str]:
    """Return the organisations that received an offer and had their turn to answer it.

    An offer that was revoked because another organisation accepted first says nothing about its holder: when
    the acceptor hands the referral back, the holder is asked again. So is an organisation that was suspended
    meanwhile, once it is readmitted, one whose service lost its approval, once the service is approved again,
    one whose agreement with the sender ended, once there is another, and one whose record changed, once it
    has changed back. An organisation that was asked about the whole referral counts as asked about each part
    of it.
    """
    before = referral.part.asked if referral.part is not None else ()
    return (
        frozenset(before)
        | declined_for_person(referral).keys()
        | {offer.organization for offer in referral.offers if _had_its_turn(offer)}
    )


def _had_its_turn(offer: Offer) -> bool:
    """Return whether the offer's holder could answer it, or lost it through an act of its own."""
    return offer.state is not OfferState.revoked or offer.reason not in _SAY_NOTHING


def declined_for_person(referral: Referral) -> dict[str, str]:
    """Return the organisations that will not or may not help the person, with the reason that each gave.

    The reason was given about this referral, or about any part of the same one.
    """
    own = {
        offer.organization: offer.reason
        for offer in referral.offers
        if offer.reason is not None and consequence_of(offer).concerns_person
    }
    return {**referral.left_out, **own}


def declined_as_full(referral: Referral) -> dict[str, dt.datetime]:
    """Return when each organisation declined that may be asked again for this referral.

    The latest offer counts that an organisation had its turn to answer, of a part before those of the whole.
    After a hand-back it is not asked again.
    """
    latest = {offer.organization: offer for offer in referral.offers if _had_its_turn(offer)}
    before = {} if referral.part is None else referral.part.declined_as_full
    own = {
        organization: offer.closed_at
        for organization, offer in latest.items()
        if offer.state is OfferState.declined
        and offer.closed_at is not None
        and consequence_of(offer).may_be_asked_again
    }
    return {**{organization: at for organization, at in before.items() if organization not in latest}, **own}
