"""Offers that ended with their referral soon after their opening, and how many exclude further ones.

Such an offer costs the organisation two messages and holds no place any more, so the bounds on open offers
(`places.py`) do not limit how often a sender repeats it. It therefore counts against its sender for the
policy's time after its opening. Every end of a referral without an outcome counts, also after an acceptance:
a withdrawal, a revoked consent, a case that the vault refuses. It does not matter who reports it. The end
itself is never refused or delayed.

The counts concern only the sender's next offers at the same organisation, those of the same or a lower
urgency. Other senders get the place at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.codes import OfferState, ReferralStatus, Urgency
from services.routing.domain.offer import ACCEPTED_ELSEWHERE, Offer
from services.routing.domain.places import ORDER_OF_URGENCY, OffersPerSender
from services.routing.domain.referral import Referral

# Offers are counted by the time of their opening, rounded up to a multiple of this.
INTERVAL: Final = dt.timedelta(minutes=1)
# The longest time for which a policy can count them (`places.WithdrawnFor`).
LONGEST: Final = dt.timedelta(days=1)

# (urgency, time of opening) -> number of offers, of one sender at one organisation.
WithdrawnCounts = Mapping[tuple[Urgency, dt.datetime], int]
# Keyed by sender, at one organisation.
WithdrawnOffers = Mapping[str, WithdrawnCounts]

NONE_WITHDRAWN: WithdrawnOffers = {}

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_WITHOUT_OUTCOME: Final = frozenset(
    {ReferralStatus.withdrawn, ReferralStatus.entered_in_error, ReferralStatus.failed}
)


def added(one: WithdrawnOffers, other: WithdrawnOffers) -> WithdrawnOffers:
    """Return the sum of two counts, without offers opened more than LONGEST before the latest."""
    if not other:
        return one
    total = {sender: dict(counts) for sender, counts in one.items()}
    for sender, counts in other.items():
        of_sender = total.setdefault(sender, {})
        for key, number in counts.items():
            of_sender[key] = of_sender.get(key, 0) + number
    latest = max(at for counts in total.values() for _, at in counts)
    kept = {
        sender: {key: number for key, number in counts.items() if key[1] >= latest - LONGEST}
        for sender, counts in total.items()
    }
    return {sender: counts for sender, counts in kept.items() if counts}


def withdrawn_between(before: Referral | None, after: Referral) -> dict[str, WithdrawnOffers]:
    """Return by organisation the offers that ended with their referral between two of its states.

    before: None for a new referral. These are the open offers, the accepted one, and those that were revoked
    because of that acceptance. An offer opened more than LONGEST ago is left out. So are all offers
    of a part that ends because the whole is accepted.
    """
    if before is None or before.is_closed or after.status not in _WITHOUT_OUTCOME:
        return {}
    if any(_is_lost(after.offer(offer.id)) for offer in before.open_offers):
        return {}
    found: dict[str, dict[tuple[Urgency, dt.datetime], int]] = {}
    for offer in before.offers:
        if not _ends_with(before, offer) or after.updated_at - offer.opened_at > LONGEST:
            continue
        counts = found.setdefault(offer.organization, {})
        key = (after.facts.urgency, counted_at(offer.opened_at))
        counts[key] = counts.get(key, 0) + 1
    return {organization: {after.sender: counts} for organization, counts in found.items()}


def _is_lost(offer: Offer | None) -> bool:
    return offer is not None and offer.reason == ACCEPTED_ELSEWHERE


def _ends_with(referral: Referral, offer: Offer) -> bool:
    if offer.is_open or offer.reason == ACCEPTED_ELSEWHERE:
        return True
    return offer.state is OfferState.accepted and offer.organization == referral.acceptor


def counted_at(opened_at: dt.datetime) -> dt.datetime:
    """Return the time under which an offer is counted: its opening, rounded up."""
    return opened_at + (_EPOCH - opened_at) % INTERVAL


@dataclass(frozen=True, kw_only=True, slots=True)
class TooManyWithdrawn:
    """Why a sender gets no offer: how many withdrawn ones count, and until when there are too many."""

    offers: int
    until: dt.datetime


def still_counting(
    counts: WithdrawnCounts, *, urgency: Urgency, now: dt.datetime, bounds: OffersPerSender
) -> WithdrawnCounts:
    """Return those of a sender's counts at an organisation that count for another offer of this urgency."""
    level, ended = ORDER_OF_URGENCY[urgency], now - bounds.withdrawn_for.at(urgency)
    return {
        (counted, at): number
        for (counted, at), number in counts.items()
        if at > ended and ORDER_OF_URGENCY[counted] <= level
    }


def withdrawn_refused(
    counts: WithdrawnCounts, *, urgency: Urgency, now: dt.datetime, bounds: OffersPerSender
) -> TooManyWithdrawn | None:
    """Return why the sender's withdrawn offers exclude another one of this urgency; None if they do not.

    counts: the sender's at the organisation that would be asked.
    """
    counting = still_counting(counts, urgency=urgency, now=now, bounds=bounds)
    offers = left = sum(counting.values())
    if offers < bounds.withdrawn:
        return None
    counted_for = bounds.withdrawn_for.at(urgency)
    ends = sorted((at + counted_for, number) for (_, at), number in counting.items())
    for until, number in ends:
        left -= number
        if left < bounds.withdrawn:
            return TooManyWithdrawn(offers=offers, until=until)
    raise AssertionError("a policy allows at least one withdrawn offer")
