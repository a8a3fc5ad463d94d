"""What follows for a referral when an organisation is suspended, leaves the network or becomes inactive.

Its open offers are revoked and the next candidate is asked. What it has accepted stays accepted: only a
coordinator and the sender can decide what becomes of the person, so they are told.
"""

from __future__ import annotations

from contracts.facts import ReferralAcceptorSuspended
from services.routing.domain.decision import Trigger
from services.routing.domain.open_offers import ask_next, revoke_open
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition, TransitionContext

ORGANIZATION_SUSPENDED = "organization_suspended"


def revoke_suspended(referral: Referral, context: TransitionContext) -> Transition:
    """Revokes the open offers to organisations that are no longer in good standing, and asks the next ones.

    Changes nothing where there is no such offer.
    """
    suspended = [o for o in referral.open_offers if not context.in_good_standing(o.organization)]
    if not suspended:
        return Transition(referral=referral)
    after, revoked = revoke_open(referral, ORGANIZATION_SUSPENDED, context.now, suspended)
    return ask_next(after, Trigger.organization_suspended, context, revoked)


def suspended_acceptor(referral: Referral, context: TransitionContext) -> ReferralAcceptorSuspended | None:
    """What is said of a referral whose acceptor is no longer in good standing; None after it has ended."""
    acceptor = referral.acceptor
    if acceptor is None or referral.is_closed or context.in_good_standing(acceptor):
        return None
    return ReferralAcceptorSuspended(referral_id=referral.id, sender=referral.sender, organization=acceptor)
