"""The coordinators' queues: which open referrals need a person, in which order, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.codes import ReferralStatus, Urgency
from contracts.responses.coordination import QueueItem
from services.routing.domain.offer import Offer
from services.routing.domain.places import ORDER_OF_URGENCY
from services.routing.domain.referral import Referral


class QueueKind(StrEnum):
    """unplaced: no candidate is left. silent: an open offer is past half of its answer time. overdue: the
    acceptor has not reported in time. emergency: every open emergency.

    A referral may be in several queues.
    """

    unplaced = "unplaced"
    silent = "silent"
    overdue = "overdue"
    emergency = "emergency"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFilter:
    """Only these referrals of a queue; None: all.

    region: a region, or a country for all its regions. need: a need, or a group for all its needs.
    organization: the sender, the acceptor or a holder of an open offer.
    """

    region: str | None = None
    need: str | None = None
    organization: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePosition:
    """A referral's place in every queue: urgency first, then the time of its submission."""

    priority: int
    submitted_at: dt.datetime
    referral_id: str


def priority_of(referral: Referral) -> int | None:
    """Return the rank of the urgency, 0 for an emergency; None for one that needs nobody.

    That is a closed referral, and one that was split, whose parts stand in the queues.
    """
    return ORDER_OF_URGENCY[referral.facts.urgency] if _may_need_somebody(referral) else None


def position_in_queue(referral: Referral) -> QueuePosition:
    """Return the position of an open referral."""
    return QueuePosition(
        priority=ORDER_OF_URGENCY[referral.facts.urgency],
        submitted_at=referral.submitted_at,
        referral_id=referral.id,
    )


def is_in_queue(referral: Referral, kind: QueueKind, now: dt.datetime) -> bool:
    """Return whether the referral is in the queue at this time."""
    match kind:
        case QueueKind.unplaced:
            return referral.status is ReferralStatus.unplaced
        case QueueKind.silent:
            return bool(silent_offers(referral, now))
        case QueueKind.overdue:
            return referral.acceptor is not None and referral.overdue_since is not None
        case QueueKind.emergency:
            return _may_need_somebody(referral) and referral.facts.urgency is Urgency.emergency


def _may_need_somebody(referral: Referral) -> bool:
    return not referral.is_closed and referral.status is not ReferralStatus.split


def silent_offers(referral: Referral, now: dt.datetime) -> tuple[Offer, ...]:
    """Return the open offers that are past half of their answer time."""
    return tuple(offer for offer in referral.open_offers if offer.is_half_over(now))


def queue_item(
    referral: Referral, kind: QueueKind, now: dt.datetime, *, lacks_case: bool = False
) -> QueueItem:
    """Return one item of a queue. referral: one for which `is_in_queue` holds.

    lacks_case: the acceptor cannot read the case, and the sender has not sent it again.
    """
    return QueueItem(
        id=referral.id,
        status=referral.status,
        urgency=referral.facts.urgency,
        needs=referral.facts.needs,
        region=referral.facts.region,
        sender=referral.sender,
        submitted_at=referral.submitted_at,
        part_of=None if referral.part is None else referral.part.referral_id,
        **_waiting(referral, kind, now, lacks_case=lacks_case),
    )


def _waiting(referral: Referral, kind: QueueKind, now: dt.datetime, *, lacks_case: bool) -> dict[str, Any]:
    if kind is QueueKind.silent:
        silent = silent_offers(referral, now)
        return {
            "since": min(offer.opened_at for offer in silent),
            "reason": "half_of_answer_time_passed",
            "waits_for": _organizations(silent),
            "deadline": min(offer.deadline for offer in silent),
        }
    if referral.status is ReferralStatus.unplaced:
        return {
            "since": referral.updated_at,
            "reason": "candidates_exhausted" if referral.offers else "no_candidate",
            "waits_for": tuple(sorted({organization for organization, _ in referral.waiting})),
            "deadline": referral.due_at,
        }
    if referral.acceptor is not None:
        overdue = referral.overdue_since
        awaited = "case" if lacks_case else "report"
        return {
            "since": referral.updated_at if overdue is None else overdue,
            "reason": f"{awaited}_awaited" if overdue is None else f"{awaited}_overdue",
            # Only the sender can seal the case again.
            "waits_for": (referral.sender if lacks_case else referral.acceptor,),
            "deadline": referral.due_at,
        }
    offers = referral.open_offers
    return {
        "since": min((offer.opened_at for offer in offers), default=referral.submitted_at),
        "reason": "answer_awaited",
        "waits_for": _organizations(offers),
        "deadline": min((offer.deadline for offer in offers), default=None),
    }


def _organizations(offers: Iterable[Offer]) -> tuple[str, ...]:
    return tuple(sorted({offer.organization for offer in offers}))
