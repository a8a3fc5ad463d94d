"""The consequences for a referral when an organisation loses its good standing, an approval or an agreement.

Its open offers are revoked and the next candidates are asked. The end of an approval concerns the offers
whose referrals have a sensitive need for which the organisation is no longer approved. The end of an
agreement concerns those whose sender may no longer disclose the referral to the organisation. A change of the
organisation's kind, country or parent concerns those whose consent does not cover it any more. Its accepted
referrals stay accepted. After a suspension the sender and the coordinators are notified, the referrals are
listed in the queue `acceptor_suspended`, and a coordinator may place them with another organisation
(`open_offers.place`). They leave the queue when they are placed, handed back or ended, or when the
organisation is readmitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from contracts.facts import ReferralAcceptorSuspended
from services.routing.domain.decision import Trigger
from services.routing.domain.offer import (
    AGREEMENT_ENDED,
    APPROVAL_ENDED,
    ORGANIZATION_CHANGED,
    ORGANIZATION_SUSPENDED,
    Offer,
)
from services.routing.domain.open_offers import ask_next, revoke_open
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition, TransitionContext


def revoke_suspended(referral: Referral, context: TransitionContext) -> Transition:
    """Revoke open offers to organisations no longer in good standing, and ask the next candidates."""
    return _revoke_unless(
        lambda offer: context.in_good_standing(offer.organization),
        referral,
        context,
        ORGANIZATION_SUSPENDED,
        Trigger.organization_suspended,
    )


def revoke_unapproved(referral: Referral, context: TransitionContext) -> Transition:
    """Revoke open offers whose holders are no longer approved for the referral, and ask the next."""
    approved = partial(context.is_approved, referral)
    return _revoke_unless(approved, referral, context, APPROVAL_ENDED, Trigger.approval_ended)


def revoke_without_agreement(referral: Referral, context: TransitionContext) -> Transition:
    """Revoke open offers to whose holders no agreement discloses the referral any more, and ask the next."""
    agreed = partial(context.has_agreement, referral)
    return _revoke_unless(agreed, referral, context, AGREEMENT_ENDED, Trigger.agreement_ended)


def revoke_without_consent(referral: Referral, context: TransitionContext) -> Transition:
    """Revoke open offers whose holders the person's consent does not cover any more, and ask the next."""
    consented = partial(context.has_consent, referral)
    return _revoke_unless(consented, referral, context, ORGANIZATION_CHANGED, Trigger.organization_changed)


def _revoke_unless(
    is_covered: Callable[[Offer], bool],
    referral: Referral,
    context: TransitionContext,
    reason: str,
    trigger: Trigger,
) -> Transition:
    """Revoke the open offers that are not covered. Without such an offer the referral stays as it is."""
    ended = [offer for offer in referral.open_offers if not is_covered(offer)]
    if not ended:
        return Transition(referral=referral)
    after, revoked = revoke_open(referral, reason, context.now, ended)
    return ask_next(after, trigger, context, revoked)


def report_suspended_acceptor(referral: Referral, context: TransitionContext) -> Transition:
    """Report an acceptor no longer in good standing, once for each suspension."""
    fact = suspended_acceptor(referral, context)
    if fact is None or referral.acceptor_suspended_since is not None:
        return Transition(referral=referral)
    return Transition(referral=replace(referral, acceptor_suspended_since=context.now), facts=(fact,))


def note_readmission(referral: Referral, context: TransitionContext) -> Transition:
    """Note that the acceptor is in good standing again, so that another suspension is reported again."""
    if referral.acceptor is None or not context.in_good_standing(referral.acceptor):
        return Transition(referral=referral)
    return Transition(referral=replace(referral, acceptor_suspended_since=None))


def suspended_acceptor(referral: Referral, context: TransitionContext) -> ReferralAcceptorSuspended | None:
    """Return the report of an acceptor no longer in good standing; None if there is nothing to report."""
    acceptor = referral.acceptor
    if acceptor is None or referral.is_closed or context.in_good_standing(acceptor):
        return None
    return ReferralAcceptorSuspended(
        referral_id=referral.id,
        sender=referral.sender,
        organization=acceptor,
        urgency=referral.facts.urgency,
        region=referral.facts.region,
        needs=referral.facts.needs,
    )
