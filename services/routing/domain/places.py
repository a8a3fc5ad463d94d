"""The places at a candidate, and which sender may take the next one.

A candidate is one service of an organisation, and its load is that of this service only. A candidate that
states a maximum has as many places as that maximum leaves beside its accepted referrals. An open offer takes
a place only until it is answered, and the answer may be no. So it does not keep the candidate from being
asked about a more urgent referral, or about one of a sender that holds less than its share. Therefore

- open offers count against offers of the same or a lower urgency only;
- a sender that holds less than its share may always take a place;
- beyond its share a sender takes free places only, and only while no sender that holds fewer waits for one.

The share is the number of places, divided by the senders that hold or await one. It is at least one, so a
referral of a sender that holds nothing is offered wherever acceptances have left a place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from marshmallow.validate import Range

from contracts.codes import Urgency
from contracts.quick_init import quick_init

# The more urgent, the lower.
ORDER_OF_URGENCY: Mapping[Urgency, int] = {Urgency.emergency: 0, Urgency.urgent: 1, Urgency.routine: 2}

OfferCount = Annotated[int, Range(min=1, max=1_000_000)]
SecondsOfADay = Annotated[int, Range(min=1, max=86_400)]


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """Counts of one sender's referrals of one urgency at one candidate.

    offers: open offers. waiting: unplaced referrals that only lack a place at the candidate.
    """

    offers: int = 0
    waiting: int = 0

    def plus(self, other: Demand) -> Demand:
        """Return the sum of two counts or changes."""
        return Demand(offers=self.offers + other.offers, waiting=self.waiting + other.waiting)


# (sender, urgency) -> its demand at one candidate; pairs without demand are missing.
DemandBySender = Mapping[tuple[str, Urgency], Demand]

_NONE = Demand()
NO_DEMAND: DemandBySender = {}


def added(one: DemandBySender, other: DemandBySender) -> DemandBySender:
    """Return the sum of two demands or changes."""
    if not other:
        return one
    total = dict(one)
    for key, change in other.items():
        if (changed := total.get(key, _NONE).plus(change)) == _NONE:
            total.pop(key, None)
        else:
            total[key] = changed
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawnFor:
    """For how many seconds after its opening a withdrawn offer counts against its sender, at most a day.

    By the urgency of the referral that would be offered. A person in an emergency cannot wait for an hour
    because others' referrals were corrected.
    """

    emergency: SecondsOfADay = 600
    urgent: SecondsOfADay = 3600
    routine: SecondsOfADay = 3600

    def at(self, urgency: Urgency) -> dt.timedelta:
        """Return the time for a referral of this urgency."""
        by_urgency: Mapping[Urgency, int] = {
            Urgency.emergency: self.emergency,
            Urgency.urgent: self.urgent,
            Urgency.routine: self.routine,
        }
        return dt.timedelta(seconds=by_urgency[urgency])

    @property
    def longest(self) -> dt.timedelta:
        """After this time an offer counts for no urgency."""
        return max(map(self.at, Urgency))


@dataclass(frozen=True, kw_only=True, slots=True)
class OffersPerSender:
    """The policy's bounds on the offers of one sender at one candidate.

    least: the open offers that a sender may always have while acceptances leave a place; its share is never
    below. most: those that it may have at most, even where the candidate states no maximum; None leaves the
    bound to the places. withdrawn: as many offers that ended with their referral soon after their opening
    exclude further ones at the organisation (`withdrawn_offers.py`). withdrawn_for: for how long each counts.
    """

    least: OfferCount = 1
    most: OfferCount | None = None
    withdrawn: OfferCount = 10
    withdrawn_for: WithdrawnFor = field(default_factory=WithdrawnFor)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoPlace:
    """Why nobody gets a place: the accepted referrals have reached the maximum."""

    accepted: int
    maximum: int

    def by_name(self) -> dict[str, int]:
        """Return the numbers by name. `dataclasses.asdict` is slow."""
        return {"accepted": self.accepted, "maximum": self.maximum}


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareUsed:
    """Why a sender gets no place: it already holds `offers` of `places` places, and its share is `share`.

    Counted are open offers of the same or a higher urgency. places: None if the candidate states no maximum.
    senders: how many hold a place or wait for one, with this sender.
    """

    offers: int
    places: int | None
    share: int
    senders: int

    def by_name(self) -> dict[str, int | None]:
        """Return the numbers by name."""
        return {
            "offers": self.offers,
            "places": self.places,
            "share": self.share,
            "senders": self.senders,
        }


def place_refused(
    demand: DemandBySender,
    *,
    maximum: int | None,
    accepted: int,
    sender: str,
    urgency: Urgency,
    bounds: OffersPerSender,
) -> NoPlace | ShareUsed | None:
    """Return why the sender may not take a place for a referral of this urgency; None if it may.

    demand, accepted: the candidate's. maximum: as the service states it, None if it states none.
    """
    if maximum is None:
        return None if bounds.most is None else _share_used(demand, None, sender, urgency, bounds)
    if accepted >= maximum:
        return NoPlace(accepted=accepted, maximum=maximum)
    return _share_used(demand, maximum - max(0, accepted), sender, urgency, bounds)


def _share_used(
    demand: DemandBySender, places: int | None, sender: str, urgency: Urgency, bounds: OffersPerSender
) -> ShareUsed | None:
    if places is not None and bounds.most is None:
        # Nearly always: more places than offers of any urgency, and nobody waits.
        taken = 0
        for one in demand.values():
            taken += places if one.waiting > 0 else one.offers
        if taken < places:
            return None
    level = ORDER_OF_URGENCY[urgency]
    offers: dict[str, int] = {sender: 0}
    waiting: set[str] = set()
    for (other, counted), one in demand.items():
        if ORDER_OF_URGENCY[counted] > level:
            continue
        if one.offers > 0:
            offers[other] = offers.get(other, 0) + one.offers
        if one.waiting > 0:
            offers.setdefault(other, 0)
            waiting.add(other)
    own = offers[sender]
    if bounds.most is not None and own >= bounds.most:
        return ShareUsed(offers=own, places=places, share=bounds.most, senders=len(offers))
    if places is None:
        return None
    share = max(bounds.least, places // len(offers))
    if own < share:
        return None
    is_free = sum(offers.values()) < places
    if is_free and not any(offers[other] < own for other in waiting if other != sender):
        return None
    return ShareUsed(offers=own, places=places, share=share, senders=len(offers))
