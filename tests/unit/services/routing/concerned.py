"""Which referrals a change of an organisation may concern: the definition of `ReferralStore.concerned`."""

from __future__ import annotations

from contracts.codes import ReferralStatus
from contracts.vocabularies import country_of
from services.routing.domain.directory import Reach
from services.routing.domain.referral import Referral


def is_concerned(referral: Referral, organization: str, reach: Reach) -> bool:
    """Return whether a change of the organisation may concern the referral, or a part of it."""
    facts = referral.facts
    if not referral.is_seeking:
        return False
    if organization in (facts.to, referral.sender):
        return True
    may_be_split = (
        referral.status is ReferralStatus.unplaced
        and facts.consent.several_organizations
        and facts.to is None
        and referral.part is None
        and not referral.parts
    )
    needs = facts.needs if may_be_split else facts.needs[:1]
    is_near = not reach.areas.isdisjoint((facts.region, country_of(facts.region)))
    return is_near and not reach.needs.isdisjoint(needs)
