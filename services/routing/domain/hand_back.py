"""Hand-back: the acceptor gives a referral back, and the next candidates are asked."""

from __future__ import annotations

from dataclasses import replace

from contracts.codes import OfferState
from contracts.facts import HandBackSubmitted
from services.routing.domain.decision import Trigger
from services.routing.domain.offer import OfferEvent
from services.routing.domain.offer_closing import close_offer
from services.routing.domain.open_offers import ask_next
from services.routing.domain.parties import require_acceptor
from services.routing.domain.referral import Referral, ReferralEvent, next_status
from services.routing.domain.transition import Transition, TransitionContext


def hand_back(referral: Referral, submission: HandBackSubmitted, context: TransitionContext) -> Transition:
    """End the acceptance and ask the next candidates. Raises Refused.

    The acceptor's case access ends with `referral.handed_back`. A referral to a named organisation has no
    other candidate and becomes unplaced: the hub cannot open its case to seal it to another organisation.
    """
    require_acceptor(referral, submission.organization)
    status = next_status(referral.status, ReferralEvent.hand_back)
    (accepted,) = [offer for offer in referral.offers if offer.state is OfferState.accepted]
    closed = close_offer(
        referral, accepted, OfferEvent.hand_back, context.now, reason=submission.reason.value
    )
    after = replace(
        closed.referral,
        status=status,
        acceptor=None,
        due_at=None,
        overdue_since=None,
        acceptor_suspended_since=None,
    )
    return ask_next(after, Trigger.handed_back, context, closed.facts, closed.observed)
