"""Opening offers to the next candidates, also when a place becomes free, and revoking open offers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from contracts.codes import InterventionReason, ReferralStatus
from contracts.errors import PointerError, Refused
from contracts.facts import (
    Fact,
    OfferOpened,
    PlacementSubmitted,
    ReferralUnplaced,
)
from services.routing.domain.decision import Decision, Trigger
from services.routing.domain.history_rules import NOT_IN_CHAIN
from services.routing.domain.observation import Observation
from services.routing.domain.offer import ACCEPTOR_SUSPENDED, Offer, OfferEvent
from services.routing.domain.offer_closing import (
    MOVED_ON,
    REPORT_OVERDUE,
    ClosedOffer,
    close_offer,
)
from services.routing.domain.parts import Part
from services.routing.domain.referral import Referral, ReferralEvent, next_status, require_open
from services.routing.domain.report_words import rule_label
from services.routing.domain.rules import COORDINATOR_MAY_OVERRIDE
from services.routing.domain.splitting import is_divided, parts_now, require_not_split, split
from services.routing.domain.transition import Transition, TransitionContext

# How often an emergency with fewer open offers than the policy wants is decided again.
TOP_UP_EVERY = dt.timedelta(minutes=1)
# The most open offers of a referral, whatever steps the policy names.
MOST_OPEN = 20


def place(referral: Referral, placement: PlacementSubmitted, context: TransitionContext) -> Transition:
    """Offer a referral to the organisation that a coordinator chose. Raises Refused.

    The referral is unplaced, or has open offers, or its acceptor is suspended or overdue. The open offers or
    the acceptance are revoked, if the coordinator saw them. No rule is overridden that the coordinator did
    not override.
    """
    require_open(referral)
    require_not_split(referral)
    seen = placement.offers
    if seen is not None and any(offer.id not in seen for offer in referral.awaited_offers):
        raise changed_since(referral)
    revoked = ClosedOffer(referral=referral, facts=())
    if referral.status is not ReferralStatus.unplaced:
        revoked = _revoked_for(referral, placement, context)
    decision = context.decide(revoked.referral, Trigger.placed_by_coordinator, placement.organization)
    if not decision.ranked:
        raise Refused("conflict", _why_not(decision))
    if placement.overridden is not None and (
        more := [rule for rule in recorded_as_overridden(decision) if rule not in placement.overridden]
    ):
        raise Refused(
            "conflict",
            f"Rules that the coordinator did not override exclude the organisation now: {_labels(more)}. "
            "Look at it again, and repeat the placement if it is still right.",
        )
    after, opened = _open_offers(revoked.referral, decision, 1, context, placed_by=placement.coordinator)
    return Transition(
        referral=after, facts=(*revoked.facts, *opened), decisions=(decision,), observed=revoked.observed
    )


def recorded_as_overridden(decision: Decision) -> tuple[str, ...]:
    """Return the rules that a placement overrides, as its fact records them (`PlacementSubmitted`).

    The chain of a referral never changes, so the rule that is left out cannot come later.
    """
    return tuple(rule for rule in decision.overridden if rule != NOT_IN_CHAIN)


def changed_since(referral: Referral) -> Refused:
    """Return the refusal of an act on offers that the coordinator did not see."""
    waits_for = ", ".join(sorted({offer.organization for offer in referral.awaited_offers}))
    return Refused(
        "conflict",
        f"The referral has changed: it waits for {waits_for} now. Look at it again, and repeat the act if it "
        "is still right.",
    )


def _reason_required(why: str) -> Refused:
    # From the pointer, the story of the referral states the fault in the reader's language.
    detail = f"A reason is required, {why}."
    return Refused("invalid-submission", detail, errors=[PointerError(pointer="/reason", detail=detail)])


def _revoked_for(
    referral: Referral, placement: PlacementSubmitted, context: TransitionContext
) -> ClosedOffer:
    if not referral.open_offers:
        revoked = revoke_acceptance(referral, placement.coordinator, context)
        if placement.organization == referral.acceptor:
            # It would lose the case, and be asked about a referral that it has.
            raise Refused("conflict", "The organisation has already accepted this referral.")
        if placement.reason is None and context.in_good_standing(referral.acceptor or ""):
            raise _reason_required("because the acceptance would be revoked")
        return revoked
    if any(offer.organization == placement.organization for offer in referral.open_offers):
        raise Refused("conflict", "The organisation already has an open offer for this referral.")
    if placement.reason is None:
        raise _reason_required("because the referral's open offers would be revoked")
    return move_on(referral, referral.open_offers, placement.reason, context)


def move_on(
    referral: Referral,
    offers: Iterable[Offer],
    reason: InterventionReason | None,
    context: TransitionContext,
) -> ClosedOffer:
    """Revoke these open offers for a coordinator. reason: of the act."""
    was_silent = reason is InterventionReason.no_answer
    facts: list[Fact] = []
    observed: dict[str, Observation] = {}
    for offer in offers:
        revoked = close_offer(
            referral, offer, OfferEvent.revoke, context.now, reason=MOVED_ON, was_silent=was_silent
        )
        referral = revoked.referral
        facts += revoked.facts
        observed |= revoked.observed
    return ClosedOffer(referral=referral, facts=tuple(facts), observed=observed)


def may_be_placed(referral: Referral, in_good_standing: Callable[[str], bool]) -> bool:
    """Return whether a placement can take effect, if the organisation can be asked.

    Not if the referral has ended or continues in parts, nor while its acceptor is in good standing and has
    missed no report.
    """
    if referral.is_closed or referral.status is ReferralStatus.split:
        return False
    acceptor = referral.acceptor
    return acceptor is None or referral.overdue_since is not None or not in_good_standing(acceptor)


def revoke_acceptance(referral: Referral, coordinator: str, context: TransitionContext) -> ClosedOffer:
    """Revoke the acceptance of a suspended or overdue acceptor; the referral is unplaced then.

    Raises Refused `not-in-this-state` for any other referral.
    """
    acceptor = referral.acceptor
    if acceptor is None or not may_be_placed(referral, context.in_good_standing):
        raise Refused(
            "not-in-this-state",
            "A coordinator can move a referral only if it is unplaced or has an open offer, or if its "
            "acceptor is suspended or has missed a report.",
        )
    is_suspended = not context.in_good_standing(acceptor)
    (accepted,) = referral.awaited_offers
    revoked = close_offer(
        referral,
        accepted,
        OfferEvent.revoke,
        context.now,
        reason=ACCEPTOR_SUSPENDED if is_suspended else REPORT_OVERDUE,
        coordinator=coordinator,
    )
    after = replace(
        revoked.referral,
        status=next_status(referral.status, ReferralEvent.revoke),
        acceptor=None,
        due_at=None,
        overdue_since=None,
        acceptor_suspended_since=None,
    )
    return replace(revoked, referral=after)


def _why_not(decision: Decision) -> str:
    if not decision.candidates:
        return "The organisation has no service that could take the referral."
    forbidding = [
        sorted({failure.rule for failure in candidate.failures} - COORDINATOR_MAY_OVERRIDE)
        for candidate in decision.candidates
    ]
    fewest = min(forbidding, key=len)
    return f"The organisation is excluded by rules that a coordinator cannot override: {_labels(fewest)}."


def _labels(rules: Iterable[str]) -> str:
    return "; ".join(f"{rule_label(rule, 'en')} ({rule})" for rule in rules)


def ask_next(
    referral: Referral,
    trigger: Trigger,
    context: TransitionContext,
    facts: tuple[Fact, ...] = (),
    observed: Mapping[str, Observation] | None = None,
) -> Transition:
    """Open offers up to the number for the urgency. The referral becomes unplaced if no offer is open.

    Or split it, if that is permitted and no one organisation covers its needs.
    """
    wanted = context.policy.offers_at_once(referral.facts.urgency) - len(referral.open_offers)
    if wanted <= 0:
        return Transition(referral=referral, facts=facts, observed=observed or {})
    parts = parts_now(referral, context)
    if is_divided(parts):
        return split(referral, parts, context, ask_next, facts, observed)
    decision = context.decide(referral, trigger)
    after, opened = _open_offers(referral, decision, wanted, context)
    if not after.open_offers:
        if after.status is not ReferralStatus.unplaced:  # a revoked acceptance has made it unplaced already
            after = replace(after, status=next_status(after.status, ReferralEvent.exhaust))
        after = _waiting(replace(after, updated_at=context.now), decision, parts)
        opened = (
            ReferralUnplaced(
                referral_id=referral.id,
                sender=referral.sender,
                decision_id=decision.id,
                urgency=referral.facts.urgency,
                region=referral.facts.region,
                needs=referral.facts.needs,
                reason="candidates_exhausted" if referral.offers else "no_candidate",
            ),
        )
    return Transition(referral=after, facts=(*facts, *opened), decisions=(decision,), observed=observed or {})


def ask_another(referral: Referral, context: TransitionContext, facts: tuple[Fact, ...]) -> Transition:
    """Open an offer to one more organisation beside the open ones, if there is a candidate."""
    if len(referral.open_offers) >= MOST_OPEN:
        return Transition(referral=referral, facts=facts)
    decision = context.decide(referral, Trigger.no_answer_yet)
    if not decision.ranked:
        return Transition(referral=referral, facts=facts)
    after, opened = _open_offers(referral, decision, 1, context)
    return Transition(referral=after, facts=(*facts, *opened), decisions=(decision,))


def ask_again(
    referral: Referral, context: TransitionContext, trigger: Trigger = Trigger.place_may_be_free
) -> Transition:
    """Open offers for an unplaced referral, or further ones for an emergency, if there is a candidate now.

    Or split it, as `ask_next` does. Otherwise no decision is recorded, and at most the candidates that the
    referral waits for and the time of the next decision change.
    """
    wanted = context.policy.offers_at_once(referral.facts.urgency) - len(referral.open_offers)
    if referral.acceptor is not None:
        return Transition(referral=referral)
    if not referral.is_seeking or wanted <= 0:
        # Nothing is due any more, for instance because the policy wants fewer offers now.
        return Transition(referral=replace(referral, due_at=None))
    parts = parts_now(referral, context)
    if is_divided(parts):
        return split(referral, parts, context, ask_next)
    decision = context.decide(referral, trigger)
    if decision.ranked:
        after, opened = _open_offers(referral, decision, wanted, context)
        return Transition(referral=after, facts=opened, decisions=(decision,))
    if referral.open_offers:
        return Transition(referral=replace(referral, due_at=_top_up_at(decision, context)))
    return Transition(referral=_waiting(referral, decision, parts))


def _waiting(referral: Referral, decision: Decision, parts: Iterable[Part]) -> Referral:
    """Return the unplaced referral with the places and the time for which it waits.

    parts: those that it would make, so that it also waits for the candidates of its further needs.
    """
    prospects = decision.prospects
    for part in parts:
        prospects = prospects.plus(part.prospects)
    return replace(referral, waits_for=prospects.lack_only_a_place, due_at=prospects.retry_at)


def _top_up_at(decision: Decision, context: TransitionContext) -> dt.datetime:
    """Return when an emergency with fewer offers than wanted is decided again.

    Places change at any time, and few emergencies are open, so they are decided again regularly.
    """
    regular = context.now + TOP_UP_EVERY
    return min(regular, decision.prospects.retry_at or regular)


def _open_offers(
    referral: Referral,
    decision: Decision,
    most: int,
    context: TransitionContext,
    *,
    placed_by: str | None = None,
) -> tuple[Referral, tuple[Fact, ...]]:
    offers: list[Offer] = []
    facts: list[Fact] = []
    policy, urgency, status = context.policy, referral.facts.urgency, referral.status
    wanted = policy.offers_at_once(urgency)
    deadline = policy.answer_due(urgency, context.now)
    step_at = policy.escalation.next_at(urgency, context.now, deadline, context.now)
    for candidate in decision.ranked[:most]:
        assert candidate.rank is not None
        offer = Offer(
            id=context.new_id(),
            referral_id=referral.id,
            organization=candidate.organization,
            service=candidate.service,
            rank=candidate.rank,
            opened_at=context.now,
            deadline=deadline,
            placed_by=placed_by,
            step_at=step_at,
        )
        status = next_status(status, ReferralEvent.offer)
        offers.append(offer)
        facts.append(
            OfferOpened(
                referral_id=referral.id,
                offer_id=offer.id,
                organization=offer.organization,
                sender=referral.sender,
                rank=offer.rank,
                opened_at=offer.opened_at,
                deadline=offer.deadline,
                facts=referral.facts.situation(),
            )
        )
    held = len(referral.open_offers) + len(offers)
    if not held:
        return referral, ()
    after = replace(
        referral,
        status=status,
        offers=(*referral.offers, *offers),
        updated_at=context.now if offers else referral.updated_at,
        due_at=_top_up_at(decision, context) if held < wanted else None,
    )
    return after, tuple(facts)


def revoke_open(
    referral: Referral, reason: str, now: dt.datetime, offers: Iterable[Offer] | None = None
) -> tuple[Referral, tuple[Fact, ...]]:
    """Revoke the given offers, or all open ones. Raises Refused `offer-closed` if one is closed."""
    facts: list[Fact] = []
    for offer in referral.open_offers if offers is None else offers:
        revoked = close_offer(referral, offer, OfferEvent.revoke, now, reason=reason)
        referral = revoked.referral
        facts += revoked.facts
    return referral, tuple(facts)
