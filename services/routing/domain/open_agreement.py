"""Whether agreements still let a referral's sender disclose it to an offer's holder."""

from __future__ import annotations

import datetime as dt

from services.routing.domain.circumstances import sensitive_among
from services.routing.domain.directory import Directory
from services.routing.domain.disclosure import disclosure_class
from services.routing.domain.offer import Offer
from services.routing.domain.referral import Referral
from services.routing.domain.referral_circumstances import whole_needs


def has_agreement(referral: Referral, offer: Offer, directory: Directory, on: dt.date) -> bool:
    """Return whether agreements in force on that day cover the principal need and each sensitive one.

    `organization_rules.agreement_in_force` required them when the offer was opened. The sender's standing is
    not read: the referrals of a suspended sender continue. `standing.revoke_suspended` looks at the holder's.
    """
    needs = referral.facts.needs
    told = whole_needs(referral) or needs
    disclosure = disclosure_class(told, referral.facts.special_categories)
    required = (needs[0], *sensitive_among(told))
    return directory.may_disclose(referral.sender, offer.organization, required, disclosure, on)
