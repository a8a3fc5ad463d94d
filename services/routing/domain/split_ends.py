"""The ends of a referral that was split and of its parts: each follows from the other.

A referral in parts ends when its last part ends. Its withdrawal or failure ends every part at once. The
consent is one: who reports its withdrawal for a part reports it for the whole. The person is one too. An
organisation that declines or hands back a part for a reason that concerns the person is asked about no other
part. An organisation that declined the whole for such a reason is asked about no part. A referral rejoins
when an acceptance of it was in time and is read after the split: its parts end then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from contracts.codes import CONSENT_REVOKED, DeclineReason, Outcome, ReferralStatus, WithdrawalReason
from contracts.errors import Refused
from contracts.facts import (
    Fact,
    OfferDeclined,
    ReferralAcceptorDeclinedPart,
    ReferralCompleted,
    ReferralFailed,
    ReferralHandedBack,
    ReferralRejoined,
    ReferralWithdrawn,
)
from services.routing.domain.consequences import CONSEQUENCES, declined_for_person
from services.routing.domain.decision import Trigger
from services.routing.domain.ending import fail, withdraw
from services.routing.domain.offer import ACCEPTED_ELSEWHERE, ALREADY_EXPIRED
from services.routing.domain.open_offers import ask_next, revoke_open
from services.routing.domain.referral import Referral, ReferralEvent, next_status
from services.routing.domain.transition import Linked, Transition, TransitionContext

# The first of these states in which a part has ended decides how the referral ends.
ENDS: Final = (
    (ReferralStatus.completed, ReferralEvent.complete),
    (ReferralStatus.failed, ReferralEvent.fail),
    (ReferralStatus.withdrawn, ReferralEvent.withdraw),
    (ReferralStatus.entered_in_error, ReferralEvent.void),
)
# The first of these outcomes that a part has gives the outcome of parts with different ones. A part that
# ended otherwise has none.
MIXED_OUTCOMES: Final = (
    (Outcome.resolved, Outcome.partly_resolved),
    (Outcome.partly_resolved, Outcome.partly_resolved),
    (Outcome.referred_onward, Outcome.referred_onward),
)


def with_linked_ends(before: Referral | None, step: Transition, context: TransitionContext) -> Transition:
    """Return the transition with those of the linked referrals that follow from it.

    before: the referral before it. Only a part and a referral that was split have linked referrals.
    """
    after = step.referral
    if before is None or after is None or (after.part is None and not after.parts):
        return step
    has_ended = after.is_closed and not before.is_closed
    withdrawn = next((fact for fact in step.facts if isinstance(fact, ReferralWithdrawn)), None)
    revoked = withdrawn if withdrawn is not None and withdrawn.reason == CONSENT_REVOKED else None
    linked: Iterable[Linked] = ()
    if after.part is not None and revoked is not None:
        linked = (partial(_revoke_whole, after, revoked, context),)
    elif after.part is not None and has_ended:
        linked = (partial(_conclude, after.part.referral_id, context),)
    elif after.parts and withdrawn is not None and (has_ended or revoked is not None):
        linked = _withdrawals(after.part_ids, withdrawn, context)
    elif after.parts and has_ended and any(isinstance(fact, ReferralFailed) for fact in step.facts):
        linked = [partial(_fail, id_, context) for id_ in after.part_ids]
    told = (*_left_out(after, step.facts, context), *_asked_again(after, step.facts, context))
    return replace(step, linked=(*step.linked, *linked, *told))


def _left_out(referral: Referral, facts: Iterable[Fact], context: TransitionContext) -> list[Linked]:
    """Return the transitions of the other parts if an organisation will not or may not help the person.

    referral: a part, or the whole, of which a decline may be read after the split.
    """
    whole = referral.id if referral.part is None else referral.part.referral_id
    others = [id_ for id_ in referral.family if id_ not in (referral.id, whole)]
    return [
        partial(_leave_out, id_, fact.organization, fact.reason, context)
        for fact in facts
        if isinstance(fact, OfferDeclined | ReferralHandedBack) and CONSEQUENCES[fact.reason].concerns_person
        for id_ in others
    ]


def _leave_out(part_id: str, organization: str, reason: str, context: TransitionContext) -> Transition | None:
    part = context.referral(part_id)
    assert part is not None
    assert part.part is not None
    if part.is_closed:
        return None
    after = replace(part, left_out={**part.left_out, organization: reason})
    if part.acceptor == organization:
        # People decide whether it may keep the case.
        declined = ReferralAcceptorDeclinedPart(
            referral_id=part.id,
            sender=part.sender,
            organization=organization,
            reason=DeclineReason(reason),
        )
        return Transition(referral=after, facts=(declined,))
    offers = [offer for offer in part.open_offers if offer.organization == organization]
    if not offers:
        return Transition(referral=after)
    after, revoked = revoke_open(after, reason, context.now, offers)
    return ask_next(after, Trigger.declined, context, revoked)


def _asked_again(whole: Referral, facts: Iterable[Fact], context: TransitionContext) -> list[Linked]:
    """Return the transitions of the parts if an organisation declined the whole for lack of capacity.

    Its decline was read after the split, so the parts do not know yet that it may be asked again.
    """
    return [
        partial(_may_ask_again, id_, fact.organization, context)
        for fact in facts
        if isinstance(fact, OfferDeclined) and CONSEQUENCES[fact.reason].may_be_asked_again
        for id_ in whole.part_ids
    ]


def _may_ask_again(part_id: str, organization: str, context: TransitionContext) -> Transition | None:
    part = context.referral(part_id)
    assert part is not None
    assert part.part is not None
    if part.is_closed:
        return None
    declined = {**part.part.declined_as_full, organization: context.now}
    return Transition(referral=replace(part, part=replace(part.part, declined_as_full=declined)))


def rejoin(referral: Referral, context: TransitionContext) -> Transition:
    """Return the referral as it was before the split, for an acceptance that was in time.

    Raises Refused `offer-closed` if an organisation has accepted a part meanwhile, or a part has ended.
    """
    parts = [part for id_ in referral.part_ids if (part := context.referral(id_)) is not None]
    assert len(parts) == referral.parts
    if not all(part.is_answerable for part in parts):
        raise Refused("offer-closed", ALREADY_EXPIRED)
    after = replace(
        referral,
        status=next_status(referral.status, ReferralEvent.rejoin),
        left_out={name: reason for part in parts for name, reason in declined_for_person(part).items()},
        updated_at=context.now,
    )
    fact = ReferralRejoined(referral_id=referral.id, sender=referral.sender, parts=referral.part_ids)
    ends = tuple(partial(_end_part, id_, context) for id_ in referral.part_ids)
    return Transition(referral=after, facts=(fact,), linked=ends)


def _end_part(part_id: str, context: TransitionContext) -> Transition:
    """End a part because the whole was accepted. Its sender has withdrawn nothing (`withdrawn_offers.py`)."""
    part = context.referral(part_id)
    assert part is not None
    part, revoked = revoke_open(part, ACCEPTED_ELSEWHERE, context.now)
    ended = withdraw(part, WithdrawalReason.placed_elsewhere, context)
    return replace(ended, facts=(*revoked, *ended.facts))


def _withdrawals(
    parts: Collection[str], withdrawn: ReferralWithdrawn, context: TransitionContext
) -> list[Linked]:
    return [partial(_withdraw, id_, withdrawn, context) for id_ in parts]


def _withdraw(part_id: str, withdrawn: ReferralWithdrawn, context: TransitionContext) -> Transition | None:
    part = context.referral(part_id)
    assert part is not None
    if part.consent_revoked or (part.is_closed and withdrawn.reason != CONSENT_REVOKED):
        return None
    return withdraw(part, withdrawn.reason, context, coordinator=withdrawn.coordinator)


def _fail(part_id: str, context: TransitionContext) -> Transition | None:
    part = context.referral(part_id)
    assert part is not None
    return None if part.is_closed else fail(part, context)


def _revoke_whole(part: Referral, withdrawn: ReferralWithdrawn, context: TransitionContext) -> Transition:
    assert part.part is not None
    whole = context.referral(part.part.referral_id)
    assert whole is not None
    step = withdraw(whole, CONSENT_REVOKED, context, coordinator=withdrawn.coordinator)
    others = [id_ for id_ in whole.part_ids if id_ != part.id]
    return replace(step, linked=tuple(_withdrawals(others, withdrawn, context)))


def _conclude(referral_id: str, context: TransitionContext) -> Transition | None:
    """End a referral whose parts have all ended; otherwise None."""
    referral = context.referral(referral_id)
    assert referral is not None
    parts = [part for id_ in referral.part_ids if (part := context.referral(id_)) is not None]
    assert len(parts) == referral.parts
    if referral.status is not ReferralStatus.split or not all(part.is_closed for part in parts):
        return None
    return ended_by(referral, parts, context)


def ended_by(referral: Referral, parts: Sequence[Referral], context: TransitionContext) -> Transition:
    """End a referral that was split as its parts have ended."""
    ends = {part.status for part in parts}
    event = next(event for status, event in ENDS if status in ends)
    match event:
        case ReferralEvent.complete:
            outcome = outcome_of(parts)
            fact = ReferralCompleted(
                referral_id=referral.id, sender=referral.sender, organization=None, outcome=outcome
            )
            after = replace(
                referral,
                status=next_status(referral.status, event),
                outcome=outcome,
                updated_at=context.now,
            )
            return Transition(referral=after, facts=(fact,))
        case ReferralEvent.fail:
            return fail(referral, context)
        case ReferralEvent.void:
            return withdraw(referral, WithdrawalReason.entered_in_error, context)
        case _:
            return withdraw(referral, WithdrawalReason.other, context)


def outcome_of(parts: Iterable[Referral]) -> Outcome:
    """Return the outcome of a referral whose parts have ended, at least one of them completed."""
    outcomes = {part.outcome for part in parts}
    if len(outcomes) == 1 and (same := next(iter(outcomes))) is not None:
        return same
    return next((mixed for outcome, mixed in MIXED_OUTCOMES if outcome in outcomes), Outcome.not_resolved)
