"""The coordinators' queues: which open referrals need a coordinator, in which order, and why.

Among referrals of one urgency the senders take turns. A referral's turn is the time of its submission, but at
least `TURN` after the latest turn of an open referral of the same sender and urgency. A sender that submits
one referral in that time keeps the times of submission. Of 300 at once, the second comes after all that
other senders submit within an hour, the third after two hours of them, and so on: only few of the 300 come
before another sender's referral. A turn is stored and does not change, so that no page skips a referral
while others leave the queue. A part of a split referral has the turn of the whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from contracts.codes import ReferralStatus, Urgency
from contracts.responses.coordination import MOST_COVERING, QueueItem
from services.routing.domain.directory import Directory
from services.routing.domain.needs_covered import needs_covered
from services.routing.domain.offer import Offer
from services.routing.domain.places import ORDER_OF_URGENCY
from services.routing.domain.referral import Referral

TURN: Final = dt.timedelta(hours=1)

# (sender, rank of the urgency) -> the latest turn of its open referrals; absent without one.
LatestTurns = Mapping[tuple[str, int], dt.datetime]


class QueueKind(StrEnum):
    """unplaced: no candidate is left. silent: an open offer is past half of its answer time. overdue: the
    acceptor has not reported in time. acceptor_suspended: the acceptor is no longer in good standing.
    emergency: every open emergency.

    A referral may be in several queues.
    """

    unplaced = "unplaced"
    silent = "silent"
    overdue = "overdue"
    acceptor_suspended = "acceptor_suspended"
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
    """A referral's place in every queue: urgency first, then its turn."""

    priority: int
    turn_at: dt.datetime
    referral_id: str


def priority_of(referral: Referral) -> int | None:
    """Return the rank of the urgency, 0 for an emergency; None for a referral that needs no coordinator.

    That is a closed referral, and one that was split: its parts are in the queues.
    """
    return ORDER_OF_URGENCY[referral.facts.urgency] if _may_need_somebody(referral) else None


def position_in_queue(referral: Referral) -> QueuePosition:
    """Return the position of an open referral."""
    return QueuePosition(
        priority=ORDER_OF_URGENCY[referral.facts.urgency],
        turn_at=referral.turn_at or referral.submitted_at,
        referral_id=referral.id,
    )


def turns_of(
    new: Sequence[Referral], latest: LatestTurns, before: Mapping[str, Referral]
) -> dict[str, dt.datetime]:
    """Return the turns of new referrals by id. They take their turns in the order of their submission.

    before: the referrals that existed already, by id, among them the whole of a new part.
    """
    taken = dict(latest)
    turns: dict[str, dt.datetime] = {}
    wholes = [one for one in new if one.part is None]
    for one in sorted(wholes, key=lambda one: (one.submitted_at, one.id)):
        key = one.sender, ORDER_OF_URGENCY[one.facts.urgency]
        turns[one.id] = max(one.submitted_at, taken[key] + TURN) if key in taken else one.submitted_at
        taken[key] = turns[one.id]
    for one in new:
        if one.part is not None:
            whole = before.get(one.part.referral_id)
            stored = None if whole is None else whole.turn_at
            turns[one.id] = turns.get(one.part.referral_id) or stored or one.submitted_at
    return turns


def is_in_queue(referral: Referral, kind: QueueKind, now: dt.datetime) -> bool:
    """Return whether the referral is in the queue at this time."""
    match kind:
        case QueueKind.unplaced:
            return referral.status is ReferralStatus.unplaced
        case QueueKind.silent:
            return bool(silent_offers(referral, now))
        case QueueKind.overdue:
            return referral.acceptor is not None and referral.overdue_since is not None
        case QueueKind.acceptor_suspended:
            return referral.acceptor is not None and referral.acceptor_suspended_since is not None
        case QueueKind.emergency:
            return _may_need_somebody(referral) and referral.facts.urgency is Urgency.emergency


def _may_need_somebody(referral: Referral) -> bool:
    return not referral.is_closed and referral.status is not ReferralStatus.split


def silent_offers(referral: Referral, now: dt.datetime) -> tuple[Offer, ...]:
    """Return the open offers that are past half of their answer time."""
    return tuple(offer for offer in referral.open_offers if offer.is_half_over(now))


def queue_item(
    referral: Referral, kind: QueueKind, now: dt.datetime, directory: Directory, *, lacks_case: bool = False
) -> QueueItem:
    """Return one item of a queue. referral: one for which `is_in_queue` holds.

    lacks_case: the acceptor cannot read the case, and the sender has not sent it again. The needs of at most
    `MOST_COVERING` organisations are compared, however many the referral waits for.
    """
    waiting = _waiting(referral, kind, now, lacks_case=lacks_case)
    helpers = (one for one in waiting["waits_for"] if one != referral.sender)
    return QueueItem(
        id=referral.id,
        status=referral.status,
        urgency=referral.facts.urgency,
        needs=referral.facts.needs,
        region=referral.facts.region,
        sender=referral.sender,
        submitted_at=referral.submitted_at,
        part_of=None if referral.part is None else referral.part.referral_id,
        acceptor=referral.acceptor,
        covers=needs_covered(
            islice(helpers, MOST_COVERING), referral.facts.needs, referral.facts.region, directory
        ),
        **waiting,
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
    if referral.acceptor_suspended_since is not None and kind is not QueueKind.overdue:
        # No organisation can end it, and no step follows by itself.
        return {
            "since": referral.acceptor_suspended_since,
            "reason": "acceptor_suspended",
            "waits_for": (),
            "deadline": None,
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
