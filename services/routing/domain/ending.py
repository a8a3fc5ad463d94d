"""The ends of a referral other than its completion: withdrawal and failure."""

from __future__ import annotations

from dataclasses import replace

from contracts.codes import CONSENT_REVOKED, WithdrawalReason
from contracts.errors import Refused
from contracts.facts import CoordinatorWithdrawalSubmitted, Fact, ReferralFailed, ReferralWithdrawn
from services.routing.domain.open_offers import revoke_open
from services.routing.domain.referral import Referral, ReferralEvent, next_status
from services.routing.domain.transition import Transition, TransitionContext

# Why the offers of a referral that ended are revoked.
WITHDRAWN = "withdrawn"
FAILED = "failed"


def withdraw(
    referral: Referral, reason: str, context: TransitionContext, *, coordinator: str | None = None
) -> Transition:
    """Withdraw the referral. reason: a withdrawal code or CONSENT_REVOKED. Raises Refused if it has ended.

    A consent can be revoked after the end too. The referral keeps its status then, because what happened
    remains true; every service erases what it still holds. A second revocation is refused. coordinator: who
    acts for a party that cannot.
    """
    if reason == CONSENT_REVOKED:
        if referral.consent_revoked:
            raise Refused("not-in-this-state", "The person's consent has already been withdrawn.")
        referral = replace(referral, consent_revoked=True)
    void = reason == WithdrawalReason.entered_in_error
    fact = ReferralWithdrawn(
        referral_id=referral.id,
        sender=referral.sender,
        organization=referral.acceptor,
        reason=reason,
        coordinator=coordinator,
    )
    if reason == CONSENT_REVOKED and referral.is_closed:
        return Transition(referral=referral, facts=(fact,))
    why = CONSENT_REVOKED if reason == CONSENT_REVOKED else WITHDRAWN
    return _leave(referral, ReferralEvent.void if void else ReferralEvent.withdraw, fact, why, context)


def withdraw_for(
    referral: Referral, submission: CoordinatorWithdrawalSubmitted, context: TransitionContext
) -> Transition:
    """Withdraw the referral for a party that cannot submit it itself. Raises Refused.

    The party is the sender, or, when the person revoked the consent, the acceptor.
    """
    parties = [referral.sender]
    if submission.reason == CONSENT_REVOKED:
        parties += [referral.acceptor] if referral.acceptor is not None else []
    if submission.organization not in parties:
        raise Refused(
            "not-a-party",
            "A coordinator can withdraw a referral only for its sender, and report a withdrawal of consent "
            "only for its sender or acceptor.",
        )
    if context.can_submit(submission.organization):
        raise Refused(
            "conflict",
            "The organisation can withdraw the referral itself: it is active, vetted and has a live client.",
        )
    return withdraw(referral, submission.reason, context, coordinator=submission.coordinator)


def fail(referral: Referral, context: TransitionContext, reason: str = "case_unreadable") -> Transition:
    """End the referral because it cannot continue. reason: of `referral.failed`."""
    fact = ReferralFailed(
        referral_id=referral.id,
        sender=referral.sender,
        organization=referral.acceptor,
        reason=reason,
    )
    return _leave(referral, ReferralEvent.fail, fact, FAILED, context)


def _leave(
    referral: Referral, event: ReferralEvent, fact: Fact, revoked_because: str, context: TransitionContext
) -> Transition:
    status = next_status(referral.status, event)
    after, revoked = revoke_open(referral, revoked_because, context.now)
    after = replace(
        after,
        status=status,
        due_at=None,
        overdue_since=None,
        acceptor_suspended_since=None,
        updated_at=context.now,
    )
    return Transition(referral=after, facts=(*revoked, fact))
