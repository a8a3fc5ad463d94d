"""Emergencies without an answer: when the coordinators are notified."""

from __future__ import annotations

import datetime as dt

from contracts.codes import ReferralStatus, Urgency
from contracts.facts import ReferralUnanswered
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral


def unanswered(referral: Referral, policy: RoutingPolicy, now: dt.datetime) -> ReferralUnanswered | None:
    """Return the report of an emergency whose oldest open offer has waited too long; None if there is none.

    A decline does not start the time again for the other organisations that are asked.
    """
    if referral.facts.urgency is not Urgency.emergency or referral.status is not ReferralStatus.offered:
        return None
    since = min((offer.opened_at for offer in referral.open_offers), default=now)
    if now - since < policy.alert_after():
        return None
    return ReferralUnanswered(
        referral_id=referral.id,
        sender=referral.sender,
        since=since,
        waits_for=tuple(sorted({offer.organization for offer in referral.open_offers})),
    )
