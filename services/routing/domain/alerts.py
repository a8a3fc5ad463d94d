"""Alerts: messages that ask the coordinators to act, and when they need not act any more.

An alert is open from its fact (`referral.unplaced`, `referral.overdue`, `referral.unanswered`,
`referral.acceptor_suspended`) until `alert.closed`, or the end of the referral, which closes all its
messages.
"""

from __future__ import annotations

from contracts.codes import ReferralStatus
from contracts.facts import (
    AlertClosed,
    CoordinatorWithdrawalSubmitted,
    Fact,
    HandBackSubmitted,
    InterventionSubmitted,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralAcceptorSuspended,
    ReferralOverdue,
    ReferralUnplaced,
)
from services.routing.domain.referral import Referral


def closed_alerts(before: Referral | None, after: Referral, cause: Fact | None) -> tuple[AlertClosed, ...]:
    """Return the ends of the alerts that a transition answers.

    An unplaced referral is answered when it is offered again, and an overdue report when it has come, was
    postponed, or is no longer expected. A suspended acceptor is answered when the referral has left it, or
    when it is readmitted. cause: what led to the transition, None for a deadline.
    `unanswered.py` closes alerts about emergencies.
    """
    if before is None or after.is_closed:
        return ()
    answered = []
    if before.status is ReferralStatus.unplaced and after.status is not ReferralStatus.unplaced:
        answered.append(ReferralUnplaced.type)
    if before.overdue_since is not None and after.overdue_since is None:
        answered.append(ReferralOverdue.type)
    if before.acceptor_suspended_since is not None and after.acceptor_suspended_since is None:
        answered.append(ReferralAcceptorSuspended.type)
    return tuple(
        AlertClosed(referral_id=after.id, message_type=message_type, by=_actor(cause))
        for message_type in answered
    )


def _actor(cause: Fact | None) -> str | None:
    """Return the coordinator or the organisation that acted; None when the hub did, such as at a deadline."""
    match cause:
        case PlacementSubmitted() | InterventionSubmitted() | CoordinatorWithdrawalSubmitted():
            return cause.coordinator
        case ProgressSubmitted() | HandBackSubmitted():
            return cause.organization
    return None
