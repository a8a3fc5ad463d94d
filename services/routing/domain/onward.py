"""Onward referral: the acceptor of a referral submits a new one for the same person, with its own consent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from contracts.codes import OfferState, ReferralStatus
from contracts.facts import ReferralReferredOnward
from services.routing.domain.chain import LONGEST_CHAIN, Chain
from services.routing.domain.decision import Trigger
from services.routing.domain.ending import fail
from services.routing.domain.offer import Offer
from services.routing.domain.offer_closing import AFTER_ACCEPTANCE
from services.routing.domain.open_offers import ask_next
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition, TransitionContext

# Why an onward referral fails: the reasons of `referral.failed`.
NOT_THE_ACCEPTOR = "not_the_acceptor"
CHAIN_TOO_LONG = "chain_too_long"
TOO_MANY_ONWARD = "too_many_onward"

# The most referrals by which one organisation refers the person of one referral onward.
MOST_ONWARD: Final = 20

# While its acceptor holds a referral, and after it has reported the outcome, it may refer the person onward.
_MAY_GO_ONWARD = frozenset(
    {
        ReferralStatus.accepted,
        ReferralStatus.in_progress,
        ReferralStatus.on_hold,
        ReferralStatus.completed,
    }
)


def refer_onward(referral: Referral, onward_from: str, context: TransitionContext) -> Transition:
    """Ask the first candidates for a new referral that continues a chain; end it if it may not continue it.

    Fails closed: the sender must be the acceptor of the earlier referral. The failure says the same about an
    unknown referral as about one of other organisations, and goes to the sender only.
    """
    earlier = context.referral(onward_from)
    if earlier is None or not may_refer_onward(earlier, referral.sender):
        return fail(referral, context, NOT_THE_ACCEPTOR)
    family = [one for id_ in earlier.family if (one := context.referral(id_)) is not None]
    chain = continued(earlier, family)
    if chain.length >= LONGEST_CHAIN:
        return fail(referral, context, CHAIN_TOO_LONG)
    if context.onward(earlier.id, referral.sender) >= MOST_ONWARD:
        return fail(referral, context, TOO_MANY_ONWARD)
    step = ask_next(replace(referral, chain=chain), Trigger.submitted, context)
    link = ReferralReferredOnward(
        referral_id=earlier.id, sender=earlier.sender, organization=referral.sender, onward=referral.id
    )
    return replace(step, about_others=(link,))


def may_refer_onward(referral: Referral, organization: str) -> bool:
    """Return whether the organisation has accepted the referral and still holds it, or has completed it.

    False once the person has withdrawn the consent: the sender would learn what the person does later.
    """
    return (
        referral.acceptor == organization
        and referral.status in _MAY_GO_ONWARD
        and not referral.consent_revoked
    )


def continued(earlier: Referral, family: Iterable[Referral] = ()) -> Chain:
    """Return the chain of a referral that follows this one.

    family: the referrals that a split has linked with it: they share one case.
    """
    before = earlier.chain
    known = () if before is None else before.holders
    held = (offer.organization for one in (earlier, *family) for offer in one.offers if _has_held_case(offer))
    return Chain(
        onward_from=earlier.id,
        previous=earlier.sender,
        length=1 if before is None else before.length + 1,
        holders=tuple(dict.fromkeys((*known, earlier.sender, *held))),
    )


def _has_held_case(offer: Offer) -> bool:
    # Offers of earlier builds do not say whether a suspension ended an acceptance.
    return offer.state in (OfferState.accepted, OfferState.returned) or (
        offer.state is OfferState.revoked and offer.reason in AFTER_ACCEPTANCE
    )
