"""What each fact does to a referral: the state before and the fact go in, the state after and what follows
from it come out. Nothing is looked up, nothing is stored, nobody is told: that is for the handlers.

A submission that cannot take effect changes nothing and gives a refusal, told to whoever made it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from contracts.codes import Answer, ProgressStatus, ReferralStatus, SealedContent, WithdrawalReason
from contracts.envelope import Event
from contracts.errors import Defect, Refused, Unavailable
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    CaseRefused,
    CaseUnreadable,
    Fact,
    NoteUnreadable,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralCompleted,
    ReferralFailed,
    ReferralOverdue,
    ReferralProgressed,
    ReferralSubmitted,
    ReferralWithdrawn,
    ReplacementSubmitted,
    RevocationSubmitted,
    SubmissionRefused,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from services.routing.domain.decision import Trigger
from services.routing.domain.observation import Observation
from services.routing.domain.offer import OfferEvent, refuse_if_late
from services.routing.domain.offer_closing import NO_ANSWER, ClosedOffer, close_offer
from services.routing.domain.open_offers import ask_next, place, revoke_open
from services.routing.domain.referral import Referral, ReferralEvent, next_status
from services.routing.domain.standing import revoke_suspended
from services.routing.domain.transition import Transition, TransitionContext

CONSENT_REVOKED = "consent_revoked"


class UnknownReferral(Unavailable):
    """A fact arrived before the submission of its referral. The consumer retries it."""

    def __init__(self) -> None:
        super().__init__("The referral of this fact is not known yet.")


def apply(referral: Referral | None, event: Event[Fact], context: TransitionContext) -> Transition:
    """One fact from outside takes effect, or is refused.

    Raises UnknownReferral for a fact about a referral that is not known yet, Defect for a fact that
    routing does not consume.
    """
    said = event.data
    if isinstance(said, ReferralSubmitted):
        return _submit(referral, said, event, context)
    if referral is None:
        raise UnknownReferral
    try:
        match said:
            case AnswerSubmitted():
                if said.answer is Answer.accept and not context.in_good_standing(said.organization):
                    return _refuse_suspended(referral, said, event.id, context)
                return _answer(referral, said, event.time, context)
            case ProgressSubmitted():
                return _progress(referral, said, context)
            case OutcomeSubmitted():
                return _complete(referral, said, context)
            case WithdrawalSubmitted():
                _require(said.organization == referral.sender, "Only the sender may withdraw a referral.")
                return _withdraw(referral, said.reason, context)
            case RevocationSubmitted():
                party = said.organization in (referral.sender, referral.acceptor)
                _require(party, "Only the sender or the acceptor may pass on that consent is withdrawn.")
                return _withdraw(referral, CONSENT_REVOKED, context)
            case PlacementSubmitted():
                return place(referral, said, context)
            case UnreadableSubmitted(content=SealedContent.case):
                return _report_case(referral, said, context)
            case UnreadableSubmitted():
                return _report_note(referral, said)
            case ReplacementSubmitted():
                return _replace_case(referral, said, context)
            case CaseRefused():
                # the vault's word may come after the referral has ended: then nothing is left to fail
                return Transition(referral=referral) if referral.is_closed else _fail(referral, context)
    except Refused as refused:
        return Transition(referral=referral, facts=(_refusal(said, event.id, refused),))
    raise Defect(f"Routing does not consume {said.type}.")


def expire(referral: Referral, offer_id: str, context: TransitionContext) -> Transition:
    """An offer's deadline has passed. Nothing happens to an offer that was closed meanwhile."""
    offer = referral.offer(offer_id)
    if offer is None or not offer.is_open or context.now < offer.deadline:
        return Transition(referral=referral)
    closed = close_offer(referral, offer, OfferEvent.expire, context.now, reason=NO_ANSWER)
    return ask_next(closed.referral, Trigger.expired, context, closed.facts, closed.observed)


def remind(referral: Referral, context: TransitionContext) -> Transition:
    """The acceptor's deadline for progress or an outcome has passed: said now, and again if it lasts."""
    if referral.due_at is None or context.now < referral.due_at or referral.acceptor is None:
        return Transition(referral=referral)
    told = ReferralOverdue(
        referral_id=referral.id,
        sender=referral.sender,
        organization=referral.acceptor,
        due_at=referral.due_at,
    )
    on_hold = referral.status is ReferralStatus.on_hold
    due_at = context.policy.progress_due(referral.facts.urgency, context.now, on_hold=on_hold)
    return Transition(referral=replace(referral, due_at=due_at, updated_at=context.now), facts=(told,))


def _submit(
    known: Referral | None, said: ReferralSubmitted, event: Event[Fact], context: TransitionContext
) -> Transition:
    if known is not None:
        return Transition(referral=known)
    referral = Referral(
        id=said.referral_id,
        sender=said.sender,
        facts=said.facts,
        status=ReferralStatus.requested,
        submitted_at=event.time,
        updated_at=context.now,
        correlation_id=event.correlation_id,
    )
    return ask_next(referral, Trigger.submitted, context)


def _answer(
    referral: Referral, said: AnswerSubmitted, admitted_at: dt.datetime, context: TransitionContext
) -> Transition:
    offer = referral.offer(said.offer_id)
    if offer is None or offer.organization != said.organization:
        raise Refused("not-found", "No such offer was made to this organisation.")
    if said.answer is Answer.decline and said.reason is None:
        raise Refused("invalid-submission", "A decline needs a reason.")
    event = OfferEvent.accept if said.answer is Answer.accept else OfferEvent.decline
    closed = close_offer(referral, offer, event, context.now, reason=said.reason, answered_at=admitted_at)
    # A late answer is refused here even if the timer has not expired the offer yet.
    refuse_if_late(offer, admitted_at)
    if not referral.is_answerable:
        # The offer expired before this timely answer was read, and another organisation accepted meanwhile.
        raise Refused("offer-closed", f"The referral is {referral.status}: it can no longer be answered.")
    if event is OfferEvent.accept:
        return _accept(referral, closed, said.organization, context)
    if not offer.is_open:
        # The next candidate was asked when the offer expired.
        return Transition(referral=closed.referral, facts=closed.facts, observed=closed.observed)
    return ask_next(closed.referral, Trigger.declined, context, closed.facts, closed.observed)


def _refuse_suspended(
    referral: Referral, said: AnswerSubmitted, submission_id: str, context: TransitionContext
) -> Transition:
    """An organisation that may no longer take part would get the case with its acceptance."""
    step = revoke_suspended(referral, context)
    refused = Refused("offer-closed", "The organisation is not active and vetted: it cannot accept.")
    return replace(step, facts=(*step.facts, _refusal(said, submission_id, refused)))


def _accept(referral: Referral, closed: ClosedOffer, acceptor: str, context: TransitionContext) -> Transition:
    status = next_status(referral.status, ReferralEvent.accept)
    after, revoked = revoke_open(closed.referral, "accepted_elsewhere", context.now)
    after = replace(
        after,
        status=status,
        acceptor=acceptor,
        due_at=context.policy.progress_due(referral.facts.urgency, context.now),
    )
    return Transition(referral=after, facts=(*closed.facts, *revoked), observed=closed.observed)


def _progress(referral: Referral, said: ProgressSubmitted, context: TransitionContext) -> Transition:
    _require_acceptor(referral, said.organization)
    on_hold = said.status is ProgressStatus.on_hold
    status = next_status(referral.status, ReferralEvent.hold if on_hold else ReferralEvent.progress)
    after = replace(
        referral,
        status=status,
        due_at=context.policy.progress_due(referral.facts.urgency, context.now, on_hold=on_hold),
        updated_at=context.now,
    )
    told = ReferralProgressed(
        referral_id=referral.id,
        sender=referral.sender,
        organization=said.organization,
        status=said.status,
    )
    return Transition(referral=after, facts=(told,))


def _complete(referral: Referral, said: OutcomeSubmitted, context: TransitionContext) -> Transition:
    _require_acceptor(referral, said.organization)
    status = next_status(referral.status, ReferralEvent.complete)
    after = replace(referral, status=status, outcome=said.outcome, due_at=None, updated_at=context.now)
    told = ReferralCompleted(
        referral_id=referral.id,
        sender=referral.sender,
        organization=said.organization,
        outcome=said.outcome,
    )
    return Transition(referral=after, facts=(told,), observed={said.organization: Observation(accepted=-1)})


def _report_case(referral: Referral, said: UnreadableSubmitted, context: TransitionContext) -> Transition:
    """The acceptor cannot read the case. The sender has as long to send it again as an offer is open."""
    _require_acceptor(referral, said.organization)
    if referral.is_closed:
        raise Refused("not-in-this-state", f"The referral is {referral.status}: nothing can be sent again.")
    replace_by = context.policy.answer_due(referral.facts.urgency, context.now)
    told = CaseUnreadable(
        referral_id=referral.id,
        sender=referral.sender,
        organization=said.organization,
        reason=said.reason,
        replace_by=replace_by,
    )
    after = replace(referral, due_at=replace_by, updated_at=context.now)
    return Transition(referral=after, facts=(told,))


def _report_note(referral: Referral, said: UnreadableSubmitted) -> Transition:
    """A party cannot read a note: its author is told, whatever has become of the referral."""
    parties = {referral.sender, *(offer.organization for offer in referral.offers)}
    _require(said.organization in parties, "Only a party of the referral can have been sent a note.")
    if said.author is None or said.author == said.organization or said.author not in parties:
        raise Refused("not-a-party", "The author of a note is another party of the referral.")
    told = NoteUnreadable(
        referral_id=referral.id, organization=said.author, reader=said.organization, reason=said.reason
    )
    return Transition(referral=referral, facts=(told,))


def _replace_case(referral: Referral, said: ReplacementSubmitted, context: TransitionContext) -> Transition:
    """The acceptor's time for progress begins anew. What cannot be replaced is refused by the vault."""
    parties = (referral.sender, referral.acceptor)
    if referral.is_closed or (said.organization, said.to) != parties:
        return Transition(referral=referral)
    due_at = context.policy.progress_due(referral.facts.urgency, context.now)
    return Transition(referral=replace(referral, due_at=due_at, updated_at=context.now))


def _withdraw(referral: Referral, reason: str, context: TransitionContext) -> Transition:
    void = reason == WithdrawalReason.entered_in_error
    told = ReferralWithdrawn(
        referral_id=referral.id,
        sender=referral.sender,
        organization=referral.acceptor,
        reason=reason,
    )
    why = CONSENT_REVOKED if reason == CONSENT_REVOKED else "withdrawn"
    return _leave(referral, ReferralEvent.void if void else ReferralEvent.withdraw, told, why, context)


def _fail(referral: Referral, context: TransitionContext) -> Transition:
    told = ReferralFailed(
        referral_id=referral.id,
        sender=referral.sender,
        organization=referral.acceptor,
        reason="case_unreadable",
    )
    return _leave(referral, ReferralEvent.fail, told, "failed", context)


def _leave(
    referral: Referral, event: ReferralEvent, told: Fact, revoked_because: str, context: TransitionContext
) -> Transition:
    status = next_status(referral.status, event)
    after, revoked = revoke_open(referral, revoked_because, context.now)
    after = replace(after, status=status, due_at=None, updated_at=context.now)
    observed = {referral.acceptor: Observation(accepted=-1)} if referral.acceptor else {}
    return Transition(referral=after, facts=(*revoked, told), observed=observed)


def _require(holds: bool, detail: str) -> None:
    if not holds:
        raise Refused("not-a-party", detail)


def _require_acceptor(referral: Referral, organization: str) -> None:
    if referral.acceptor is None:
        raise Refused("not-in-this-state", "Nobody has accepted the referral.")
    _require(organization == referral.acceptor, "Only the organisation that accepted may report on it.")


def _refusal(said: Fact, submission_id: str, refused: Refused) -> Fact:
    match said:
        case AnswerSubmitted():
            return AnswerRefused(
                referral_id=said.referral_id,
                offer_id=said.offer_id,
                organization=said.organization,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case PlacementSubmitted():
            return PlacementRefused(
                referral_id=said.referral_id,
                organization=said.organization,
                coordinator=said.coordinator,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case (
            ProgressSubmitted()
            | OutcomeSubmitted()
            | WithdrawalSubmitted()
            | RevocationSubmitted()
            | UnreadableSubmitted()
        ):
            return SubmissionRefused(
                referral_id=said.referral_id,
                organization=said.organization,
                submission_id=submission_id,
                problem=refused.problem(),
            )
    # Nobody could be told of it, and it would be lost.
    raise Defect(f"Routing cannot refuse {said.type}.")
