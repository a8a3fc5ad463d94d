"""Steps before an offer's deadline: a reminder, or one more organisation that is asked (ADR 0058)."""

from __future__ import annotations

from dataclasses import replace

from contracts.facts import Fact, OfferReminded
from services.routing.domain.escalation_steps import StepAct
from services.routing.domain.offer import Offer
from services.routing.domain.open_offers import ask_another
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition, TransitionContext


def escalate(referral: Referral, offer: Offer, context: TransitionContext) -> Transition:
    """Take the steps of an open offer that are due, each kind of act once.

    Steps that were missed, for instance while the process was down, are not made up one by one: the
    organisation gets one reminder.
    """
    if offer.step_at is None or context.now < offer.step_at:
        return Transition(referral=referral)
    escalation, urgency = context.policy.escalation, referral.facts.urgency
    # None may be due: the policy has changed since the step was planned, or the deadline has passed and only
    # a backlog keeps the offer open.
    due = {
        step.act
        for step in escalation.by_urgency()[urgency]
        if offer.step_at <= step.moment(offer.opened_at, offer.deadline) <= context.now < offer.deadline
    }
    next_at = escalation.next_at(urgency, offer.opened_at, offer.deadline, context.now)
    after = referral.with_offers([replace(offer, step_at=next_at)], context.now)
    facts: tuple[Fact, ...] = ()
    # An organisation that was suspended meanwhile loses its offer in a moment.
    if StepAct.remind in due and context.in_good_standing(offer.organization):
        facts = (
            OfferReminded(
                referral_id=referral.id,
                offer_id=offer.id,
                organization=offer.organization,
                sender=referral.sender,
                deadline=offer.deadline,
            ),
        )
    if StepAct.ask_another in due:
        return ask_another(after, context, facts)
    return Transition(referral=after, facts=facts)
