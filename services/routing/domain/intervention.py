"""Coordinators' acts on a referral that waits for an organisation: remind it, extend, ask others instead.

The referral waits for the holders of its open offers, or for its acceptor.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from contracts.codes import CoordinatorAct, ReferralStatus
from contracts.errors import PointerError, Refused
from contracts.facts import InterventionApplied, InterventionSubmitted
from services.routing.domain.decision import Trigger
from services.routing.domain.offer import Offer
from services.routing.domain.open_offers import ask_next, changed_since, move_on, revoke_acceptance
from services.routing.domain.referral import Referral, require_open
from services.routing.domain.splitting import require_not_split
from services.routing.domain.transition import Transition, TransitionContext


def intervene(
    referral: Referral, submission: InterventionSubmitted, context: TransitionContext
) -> Transition:
    """Apply a coordinator's act. Raises Refused."""
    offers = awaited(referral, submission)
    match submission.act:
        case CoordinatorAct.nudge:
            return _nudge(referral, offers, submission, context)
        case CoordinatorAct.extend:
            return _extend(referral, offers, submission, context)
        case CoordinatorAct.move_on:
            return _move_on(referral, offers, submission, context)


def awaited(referral: Referral, submission: InterventionSubmitted) -> tuple[Offer, ...]:
    """Return the offers that the act concerns: open ones, or the accepted one. Raises Refused."""
    require_open(referral)
    require_not_split(referral)
    offers = referral.awaited_offers
    if not offers:
        raise Refused("not-in-this-state", "No organisation has this referral now: place it.")
    wanted = [offer for offer in offers if submission.organization in (None, offer.organization)]
    if not wanted:
        raise Refused("conflict", "The referral does not wait for this organisation.")
    seen = tuple(offer for offer in wanted if submission.offers is None or offer.id in submission.offers)
    if not seen:
        raise changed_since(referral)
    return seen


def _nudge(
    referral: Referral,
    offers: tuple[Offer, ...],
    submission: InterventionSubmitted,
    context: TransitionContext,
) -> Transition:
    if referral.acceptor is not None and referral.overdue_since is None:
        when = "" if referral.due_at is None else f", after {_moment(referral.due_at)}"
        raise Refused("not-in-this-state", f"The acceptor can be reminded once its report is overdue{when}.")
    interval = context.policy.reminder_interval(referral.facts.urgency)
    due = [offer for offer in offers if offer.nudged_at is None or context.now - offer.nudged_at >= interval]
    if not due:
        again = min(offer.nudged_at + interval for offer in offers if offer.nudged_at is not None)
        raise Refused(
            "conflict",
            "A coordinator has reminded the organisation already. The next reminder is possible from "
            f"{_moment(again)}.",
        )
    after = referral.with_offers([replace(offer, nudged_at=context.now) for offer in due], context.now)
    return Transition(
        referral=after,
        facts=tuple(_applied(after, offer, submission, _deadline(after, offer)) for offer in due),
    )


def _wrong_deadline(detail: str) -> Refused:
    # From the pointer, the story of the referral states the fault in the reader's language.
    return Refused("invalid-submission", detail, errors=[PointerError(pointer="/until", detail=detail)])


def _extend(
    referral: Referral,
    offers: tuple[Offer, ...],
    submission: InterventionSubmitted,
    context: TransitionContext,
) -> Transition:
    until = submission.until
    if until is None:
        raise _wrong_deadline("An extension requires a new deadline.")
    policy, urgency = context.policy, referral.facts.urgency
    if referral.acceptor is not None:
        on_hold = referral.status is ReferralStatus.on_hold
        latest = context.now + policy.longest_report(urgency, on_hold=on_hold)
    else:
        latest = min(offer.opened_at for offer in offers) + policy.longest_answer(urgency)
    earliest = max(context.now, *(_deadline(referral, offer) or context.now for offer in offers))
    # A report that is overdue has a new deadline already, at which the overdue report is repeated.
    if referral.overdue_since is not None:
        earliest = context.now
    if latest <= earliest:
        is_open = referral.acceptor is None
        what = "answer time, from the offer's opening" if is_open else "report time, from now"
        raise _wrong_deadline(
            f"No later deadline is possible: the policy (`extension`) permits {policy.extension} times the "
            f"{what}, until {_moment(latest)}."
        )
    if not earliest < until <= latest:
        raise _wrong_deadline(
            f"The new deadline must be after {_moment(earliest)} and at the latest {_moment(latest)}."
        )
    if referral.acceptor is not None:
        after = replace(referral, due_at=until, overdue_since=None, updated_at=context.now)
    else:
        after = referral.with_offers(
            [
                replace(
                    offer,
                    deadline=until,
                    step_at=policy.escalation.next_at(urgency, offer.opened_at, until, context.now),
                )
                for offer in offers
            ],
            context.now,
        )
    return Transition(
        referral=after, facts=tuple(_applied(after, offer, submission, until) for offer in offers)
    )


def _move_on(
    referral: Referral,
    offers: tuple[Offer, ...],
    submission: InterventionSubmitted,
    context: TransitionContext,
) -> Transition:
    applied = tuple(_applied(referral, offer, submission, None) for offer in offers)
    trigger = Trigger.moved_on_by_coordinator
    if referral.acceptor is not None:
        revoked = revoke_acceptance(referral, submission.coordinator, context)
        return ask_next(
            revoked.referral, trigger, context, (*applied, *revoked.facts), observed=revoked.observed
        )
    moved = move_on(referral, offers, submission.reason, context)
    return ask_next(moved.referral, trigger, context, (*applied, *moved.facts), moved.observed)


def _deadline(referral: Referral, offer: Offer) -> dt.datetime | None:
    return offer.deadline if offer.is_open else referral.due_at


def _applied(
    referral: Referral, offer: Offer, submission: InterventionSubmitted, deadline: dt.datetime | None
) -> InterventionApplied:
    return InterventionApplied(
        referral_id=referral.id,
        sender=referral.sender,
        organization=offer.organization,
        coordinator=submission.coordinator,
        act=submission.act,
        reason=submission.reason,
        deadline=deadline,
    )


def _moment(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
