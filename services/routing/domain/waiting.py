"""Unplaced referrals that wait for a place, and the order in which they are decided again."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contracts.codes import Urgency
from services.routing.domain.places import ORDER_OF_URGENCY


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingQueue:
    """The referrals of one sender and urgency that wait for one service; they need the same place."""

    organization: str
    service: str
    sender: str
    urgency: Urgency


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingReferral:
    """One place in a queue. since: when the referral was submitted."""

    referral_id: str
    queue: WaitingQueue
    since: dt.datetime


def in_turn(
    waiting: Iterable[WaitingReferral], offers_held: Callable[[WaitingQueue], int]
) -> list[WaitingReferral]:
    """Return the order of deciding: urgency, then the sender that holds fewest, then age.

    offers_held: the open offers that a queue's sender already has at its candidate. A referral earlier in the
    same queue counts as one more, so that senders alternate. A referral that is in several queues is returned
    once, at its first turn.
    """
    ahead: Counter[WaitingQueue] = Counter()
    turns: list[tuple[int, int, dt.datetime, str, WaitingReferral]] = []
    for one in sorted(waiting, key=lambda one: (one.since, one.referral_id)):
        turn = offers_held(one.queue) + ahead[one.queue]
        ahead[one.queue] += 1
        turns.append((ORDER_OF_URGENCY[one.queue.urgency], turn, one.since, one.referral_id, one))
    first: dict[str, WaitingReferral] = {}
    for *_, one in sorted(turns, key=lambda turn: turn[:4]):
        first.setdefault(one.referral_id, one)
    return list(first.values())
