"""The effect of each fact on a referral, as pure functions: state and fact in, transition out.

The handlers load, store and publish. A submission that cannot take effect changes nothing and yields a
refusal addressed to the submitter.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import partial

from contracts.codes import CONSENT_REVOKED, Answer, ProgressStatus, ReferralStatus, SealedContent
from contracts.envelope import Event
from contracts.errors import Defect, PointerError, Refused, Unavailable
from contracts.facts import (
    AnswerSubmitted,
    CasePaused,
    CaseRefused,
    CaseRequested,
    CaseUnreadable,
    CoordinatorWithdrawalSubmitted,
    Fact,
    HandBackSubmitted,
    InterventionSubmitted,
    NoteUnreadable,
    OutcomeSubmitted,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralCompleted,
    ReferralOverdue,
    ReferralProgressed,
    ReferralSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from services.routing.domain.decision import Trigger
from services.routing.domain.ending import fail, withdraw, withdraw_for
from services.routing.domain.escalation import escalate
from services.routing.domain.hand_back import hand_back
from services.routing.domain.intervention import intervene
from services.routing.domain.late_answer import late_answer
from services.routing.domain.offer import ACCEPTED_ELSEWHERE, ALREADY_EXPIRED, OfferEvent, refuse_if_late
from services.routing.domain.offer_closing import NO_ANSWER, ClosedOffer, close_offer
from services.routing.domain.onward import refer_onward
from services.routing.domain.open_offers import ask_again, ask_next, place, revoke_open
from services.routing.domain.parties import require_acceptor, require_party
from services.routing.domain.referral import Referral, ReferralEvent, next_status
from services.routing.domain.refusals import refusal_of
from services.routing.domain.split_ends import rejoin, with_linked_ends
from services.routing.domain.standing import (
    revoke_suspended,
    revoke_unapproved,
    revoke_without_agreement,
    revoke_without_consent,
)
from services.routing.domain.transition import Transition, TransitionContext

ACCEPTOR_BARRED = "The organisation cannot accept: it is not active and vetted."
ACCEPTOR_NOT_APPROVED = (
    "The organisation cannot accept: the network does not approve its service for a sensitive need of this "
    "referral."
)
ACCEPTOR_WITHOUT_AGREEMENT = (
    "The organisation cannot accept: no agreement lets the sender disclose this referral to it any more."
)
ACCEPTOR_CHANGED = (
    "The organisation cannot accept: its record has changed, and this referral may not go to it any more."
)


class UnknownReferral(Unavailable):
    """A fact arrived before its referral was submitted. The consumer retries it."""

    def __init__(self) -> None:
        super().__init__("The referral of this fact is not known yet.")


def apply(referral: Referral | None, event: Event[Fact], context: TransitionContext) -> Transition:
    """Apply a fact from outside the service, or refuse it.

    The ends of linked referrals follow (`split_ends.py`).

    Raises UnknownReferral if the referral is not known yet, and Defect if routing does not consume the fact.
    """
    return with_linked_ends(referral, _apply(referral, event, context), context)


def _apply(referral: Referral | None, event: Event[Fact], context: TransitionContext) -> Transition:
    submission = event.data
    if isinstance(submission, ReferralSubmitted):
        return _submit(referral, submission, event, context)
    if referral is None:
        raise UnknownReferral
    try:
        match submission:
            case AnswerSubmitted():
                if (refusal := _refused_acceptance(referral, submission, event, context)) is not None:
                    return refusal
                return _answer(referral, submission, event.time, context)
            case ProgressSubmitted():
                return _progress(referral, submission, context)
            case OutcomeSubmitted():
                return _complete(referral, submission, context)
            case HandBackSubmitted():
                return hand_back(referral, submission, context)
            case WithdrawalSubmitted():
                is_sender = submission.organization == referral.sender
                require_party(is_sender, "Only the sender may withdraw a referral.")
                return withdraw(referral, submission.reason, context)
            case RevocationSubmitted():
                party = submission.organization in (referral.sender, referral.acceptor)
                require_party(party, "Only the sender or the acceptor may report a withdrawal of consent.")
                return withdraw(referral, CONSENT_REVOKED, context)
            case PlacementSubmitted():
                return place(referral, submission, context)
            case InterventionSubmitted():
                return intervene(referral, submission, context)
            case CoordinatorWithdrawalSubmitted():
                return withdraw_for(referral, submission, context)
            case UnreadableSubmitted(content=SealedContent.case):
                return _report_case(referral, submission, context)
            case UnreadableSubmitted():
                return _report_note(referral, submission)
            case ReplacementSubmitted():
                return _replace_case(referral, submission, context)
            case CasePaused() | CaseRequested():
                # The acceptor waits for the case, and the referral stays as it is, with its deadline.
                return Transition(referral=referral, noted=True)
            case CaseRefused():
                # The vault may refuse the case after the referral has ended; then nothing is left to fail.
                return Transition(referral=referral) if referral.is_closed else fail(referral, context)
    except Refused as refused:
        return Transition(
            referral=referral,
            facts=(refusal_of(submission, event.id, refused),),
            late=late_answer(referral, submission, event.time, refused),
        )
    raise Defect(f"Routing does not consume {submission.type}.")


def act_when_due(
    referral: Referral, offer_id: str, read_until: dt.datetime, context: TransitionContext
) -> Transition:
    """Expire an offer whose deadline has passed; before it, take the policy's steps that are due.

    read_until: the answers that were admitted by then have been read; a later deadline has not passed. An
    offer that was closed meanwhile stays as it is.
    """
    offer = referral.offer(offer_id)
    if offer is None or not offer.is_open:
        return Transition(referral=referral)
    if read_until < offer.deadline:
        return escalate(referral, offer, context)
    closed = close_offer(referral, offer, OfferEvent.expire, context.now, reason=NO_ANSWER)
    return ask_next(closed.referral, Trigger.expired, context, closed.facts, closed.observed)


def remind(referral: Referral, context: TransitionContext) -> Transition:
    """Report an acceptor whose progress report is overdue. The report repeats while the silence lasts.

    A referral without an acceptor is decided again: time may have made a candidate available.
    """
    if referral.due_at is None or context.now < referral.due_at:
        return Transition(referral=referral)
    if referral.acceptor is None:
        return ask_again(referral, context, Trigger.time_passed)
    fact = ReferralOverdue(
        referral_id=referral.id,
        sender=referral.sender,
        organization=referral.acceptor,
        due_at=referral.due_at,
    )
    on_hold = referral.status is ReferralStatus.on_hold
    due_at = context.policy.progress_due(referral.facts.urgency, context.now, on_hold=on_hold)
    since = referral.due_at if referral.overdue_since is None else referral.overdue_since
    after = replace(referral, due_at=due_at, overdue_since=since, updated_at=context.now)
    return Transition(referral=after, facts=(fact,))


def _submit(
    known: Referral | None, submission: ReferralSubmitted, event: Event[Fact], context: TransitionContext
) -> Transition:
    if known is not None:
        return Transition(referral=known)
    referral = Referral(
        id=submission.referral_id,
        sender=submission.sender,
        facts=submission.facts,
        status=ReferralStatus.requested,
        submitted_at=event.time,
        updated_at=context.now,
        correlation_id=event.correlation_id,
    )
    if submission.onward_from is not None:
        return refer_onward(referral, submission.onward_from, context)
    return ask_next(referral, Trigger.submitted, context)


def _answer(
    referral: Referral, submission: AnswerSubmitted, admitted_at: dt.datetime, context: TransitionContext
) -> Transition:
    offer = referral.offer(submission.offer_id)
    if offer is None or offer.organization != submission.organization:
        raise Refused("not-found", "This offer does not exist, or it was made to another organisation.")
    if submission.answer is Answer.decline and submission.reason is None:
        detail = "A decline requires a reason."
        errors = [PointerError(pointer="/reason", detail=detail)]
        raise Refused("invalid-submission", detail, errors=errors)
    event = OfferEvent.accept if submission.answer is Answer.accept else OfferEvent.decline
    closed = close_offer(
        referral, offer, event, context.now, reason=submission.reason, answered_at=admitted_at
    )
    # A late answer is refused here even if the timer has not expired the offer yet.
    refuse_if_late(offer, admitted_at)
    if event is OfferEvent.accept and referral.status is ReferralStatus.split:
        # The offer expired before this timely acceptance was read, and the referral was split.
        return _accept_whole(referral, closed, submission.organization, context)
    if not referral.is_answerable and referral.status is not ReferralStatus.split:
        # The offer expired before this timely answer was read, and the referral was accepted elsewhere or has
        # ended meanwhile.
        raise Refused("offer-closed", ALREADY_EXPIRED)
    if event is OfferEvent.accept:
        return _accept(referral, closed, submission.organization, context)
    if not offer.is_open:
        # The next candidate was asked when the offer expired.
        return Transition(referral=closed.referral, facts=closed.facts, observed=closed.observed)
    return ask_next(closed.referral, Trigger.declined, context, closed.facts, closed.observed)


def _refused_acceptance(
    referral: Referral, submission: AnswerSubmitted, event: Event[Fact], context: TransitionContext
) -> Transition | None:
    """Refuse the acceptance of an organisation that is suspended, or no longer approved for the referral.

    The same holds for one to which no agreement discloses the referral any more, and for one that the
    person's consent does not cover any more. Accepting would release the case to it. None for any other
    answer.
    """
    if submission.answer is not Answer.accept:
        return None
    offer = referral.offer(submission.offer_id)
    if not context.in_good_standing(submission.organization):
        step, detail = revoke_suspended(referral, context), ACCEPTOR_BARRED
    elif offer is None or offer.organization != submission.organization:
        return None
    elif not context.is_approved(referral, offer):
        step, detail = revoke_unapproved(referral, context), ACCEPTOR_NOT_APPROVED
    elif not context.has_agreement(referral, offer):
        step, detail = revoke_without_agreement(referral, context), ACCEPTOR_WITHOUT_AGREEMENT
    elif not context.has_consent(referral, offer):
        step, detail = revoke_without_consent(referral, context), ACCEPTOR_CHANGED
    else:
        return None
    refused = Refused("offer-closed", detail)
    return replace(
        step,
        facts=(*step.facts, refusal_of(submission, event.id, refused)),
        late=late_answer(referral, submission, event.time, refused),
    )


def _accept(referral: Referral, closed: ClosedOffer, acceptor: str, context: TransitionContext) -> Transition:
    status = next_status(referral.status, ReferralEvent.accept)
    after, revoked = revoke_open(closed.referral, ACCEPTED_ELSEWHERE, context.now)
    after = replace(
        after,
        status=status,
        acceptor=acceptor,
        due_at=context.policy.progress_due(referral.facts.urgency, context.now),
        overdue_since=None,
    )
    return Transition(referral=after, facts=(*closed.facts, *revoked), observed=closed.observed)


def _accept_whole(
    referral: Referral, closed: ClosedOffer, acceptor: str, context: TransitionContext
) -> Transition:
    rejoined = rejoin(referral, context)
    assert rejoined.referral is not None
    after = rejoined.referral
    whole = replace(closed.referral, status=after.status, left_out=after.left_out)
    accepted = _accept(whole, replace(closed, referral=whole), acceptor, context)
    return replace(accepted, facts=(*rejoined.facts, *accepted.facts), linked=rejoined.linked)


def _progress(referral: Referral, submission: ProgressSubmitted, context: TransitionContext) -> Transition:
    require_acceptor(referral, submission.organization)
    on_hold = submission.status is ProgressStatus.on_hold
    status = next_status(referral.status, ReferralEvent.hold if on_hold else ReferralEvent.progress)
    after = replace(
        referral,
        status=status,
        due_at=context.policy.progress_due(referral.facts.urgency, context.now, on_hold=on_hold),
        overdue_since=None,
        updated_at=context.now,
    )
    fact = ReferralProgressed(
        referral_id=referral.id,
        sender=referral.sender,
        organization=submission.organization,
        status=submission.status,
    )
    return Transition(referral=after, facts=(fact,))


def _complete(referral: Referral, submission: OutcomeSubmitted, context: TransitionContext) -> Transition:
    require_acceptor(referral, submission.organization)
    status = next_status(referral.status, ReferralEvent.complete)
    after = replace(
        referral,
        status=status,
        outcome=submission.outcome,
        due_at=None,
        overdue_since=None,
        acceptor_suspended_since=None,
        updated_at=context.now,
    )
    fact = ReferralCompleted(
        referral_id=referral.id,
        sender=referral.sender,
        organization=submission.organization,
        outcome=submission.outcome,
    )
    return Transition(referral=after, facts=(fact,))


def _report_case(
    referral: Referral, submission: UnreadableSubmitted, context: TransitionContext
) -> Transition:
    """Report an unreadable case. The sender has an offer's answer time to send the case again."""
    require_acceptor(referral, submission.organization)
    if referral.is_closed:
        raise Refused(
            "not-in-this-state", f"The case cannot be replaced while the referral is {referral.status}."
        )
    replace_by = context.policy.answer_due(referral.facts.urgency, context.now)
    fact = CaseUnreadable(
        referral_id=referral.id,
        sender=referral.sender,
        organization=submission.organization,
        reason=submission.reason,
        replace_by=replace_by,
    )
    after = replace(referral, due_at=replace_by, overdue_since=None, updated_at=context.now)
    return Transition(referral=after, facts=(fact,))


def _report_note(referral: Referral, submission: UnreadableSubmitted) -> Transition:
    """Report an unreadable note to its author, even if the referral has ended."""
    parties = {referral.sender, *(offer.organization for offer in referral.offers)}
    require_party(
        submission.organization in parties, "Only a party to the referral may report an unreadable note."
    )
    # A candidate has notes of the sender only. An answer about others would reveal to it who else was asked.
    authors = parties if submission.organization == referral.sender else {referral.sender}
    if (
        submission.author is None
        or submission.author == submission.organization
        or submission.author not in authors
    ):
        raise Refused("not-a-party", "No note of this author was forwarded to your organisation.")
    fact = NoteUnreadable(
        referral_id=referral.id,
        organization=submission.author,
        reader=submission.organization,
        reason=submission.reason,
    )
    return Transition(referral=referral, facts=(fact,))


def _replace_case(
    referral: Referral, submission: ReplacementSubmitted, context: TransitionContext
) -> Transition:
    """Restart the progress deadline of each acceptor that the case reaches, those of linked parts too.

    The vault refuses a replacement that is not allowed.
    """
    if submission.organization != referral.sender:
        return Transition(referral=referral)
    linked = [
        partial(_replace_linked, id_, submission, context) for id_ in referral.family if id_ != referral.id
    ]
    return replace(_replaced(referral, submission, context), linked=tuple(linked))


def _replaced(referral: Referral, submission: ReplacementSubmitted, context: TransitionContext) -> Transition:
    concerns_acceptor = referral.acceptor is not None and submission.to in (None, referral.acceptor)
    if referral.is_closed or not concerns_acceptor:
        return Transition(referral=referral)
    due_at = context.policy.progress_due(referral.facts.urgency, context.now)
    restarted = replace(referral, due_at=due_at, overdue_since=None, updated_at=context.now)
    return Transition(referral=restarted, noted=True)


def _replace_linked(
    id_: str, submission: ReplacementSubmitted, context: TransitionContext
) -> Transition | None:
    referral = context.referral(id_)
    return None if referral is None else _replaced(referral, submission, context)
