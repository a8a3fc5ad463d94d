"""An organisation's observed behaviour: how it answers offers, and the load of each of its services."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.codes import OfferState
from services.routing.domain.places import NO_DEMAND, Demand, DemandBySender, added
from services.routing.domain.referral import Referral


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceLoad:
    """The referrals at one service.

    accepted: open referrals that the organisation accepted for this service. demand: open offers, and
    referrals that wait for a place, by sender and urgency.
    """

    accepted: int = 0
    demand: DemandBySender = field(default_factory=lambda: NO_DEMAND)

    @property
    def pending(self) -> int:
        """The offers that await an answer."""
        return sum(one.offers for one in self.demand.values()) if self.demand else 0

    @property
    def load(self) -> int:
        """Accepted referrals plus pending offers, so that a burst is not offered to one organisation."""
        return max(0, self.accepted + self.pending)

    def plus(self, other: ServiceLoad) -> ServiceLoad:
        """Return the sum of two counts or changes."""
        return ServiceLoad(accepted=self.accepted + other.accepted, demand=added(self.demand, other.demand))


NO_LOAD = ServiceLoad()


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Counts since the organisation's first offer, or a change of them.

    answered and expired count offers, whichever the service. answer_seconds is the sum over the answered
    offers. last_asked: when its latest offer was opened, None if it was never asked. services: the load of
    each service; services without load are missing.
    """

    answered: int = 0
    expired: int = 0
    answer_seconds: int = 0
    last_asked: dt.datetime | None = None
    services: Mapping[str, ServiceLoad] = field(default_factory=dict)
    # When each service last declined or handed back for lack of capacity.
    full_since: Mapping[str, dt.datetime] = field(default_factory=lambda: _NEVER_FULL)

    def at(self, service: str) -> ServiceLoad:
        """Return the load of one service."""
        return self.services.get(service, NO_LOAD)

    @property
    def judged(self) -> int:
        """The offers that the organisation has answered or let expire."""
        return self.answered + self.expired

    @property
    def accepted(self) -> int:
        """The open referrals that the organisation has accepted for any service."""
        return sum(one.accepted for one in self.services.values())

    @property
    def pending(self) -> int:
        """The offers of any service that await an answer."""
        return sum(one.pending for one in self.services.values())

    def plus(self, other: Observation) -> Observation:
        """Return the sum of two counts or changes."""
        return Observation(
            answered=self.answered + other.answered,
            expired=self.expired + other.expired,
            answer_seconds=self.answer_seconds + other.answer_seconds,
            last_asked=_later(self.last_asked, other.last_asked),
            services=_added(self.services, other.services),
            full_since=_latest(self.full_since, other.full_since),
        )


_NEVER_FULL: Mapping[str, dt.datetime] = {}


def _latest(one: Mapping[str, dt.datetime], other: Mapping[str, dt.datetime]) -> Mapping[str, dt.datetime]:
    if not other:
        return one
    return {**one, **{service: max(at, one.get(service, at)) for service, at in other.items()}}


NOTHING_OBSERVED = Observation()


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _added(one: Mapping[str, ServiceLoad], other: Mapping[str, ServiceLoad]) -> Mapping[str, ServiceLoad]:
    if not other:
        return one
    total = dict(one)
    for service, change in other.items():
        if (changed := total.get(service, NO_LOAD).plus(change)) == NO_LOAD:
            total.pop(service, None)
        else:
            total[service] = changed
    return total


def load_between(before: Referral | None, after: Referral) -> dict[str, Observation]:
    """Return the change of each organisation's load between two states of a referral.

    The load follows from the referrals alone, so that no transition can forget to count. before: None for a
    new referral.
    """
    key = (after.sender, after.facts.urgency)
    counts = _counts(after)
    if before is not None:
        counts.subtract(_counts(before))
    loads: dict[str, dict[str, ServiceLoad]] = defaultdict(dict)
    for (organization, service, kind), count in counts.items():
        if count:
            change = (
                ServiceLoad(accepted=count)
                if kind is _Kind.accepted
                else ServiceLoad(demand={key: Demand(**{kind: count})})
            )
            loads[organization][service] = loads[organization].get(service, NO_LOAD).plus(change)
    asked = _newly_asked(before, after)
    return {
        organization: Observation(last_asked=asked.get(organization), services=loads.get(organization, {}))
        for organization in {**loads, **asked}
    }


class _Kind(StrEnum):
    """What a referral may hold at a service. `offers` and `waiting` are the counts of a `Demand`."""

    accepted = "accepted"
    offers = "offers"
    waiting = "waiting"


def _counts(referral: Referral) -> Counter[tuple[str, str, _Kind]]:
    counts = Counter((organization, service, _Kind.waiting) for organization, service in referral.waiting)
    for offer in referral.offers:
        if offer.is_open:
            counts[offer.organization, offer.service, _Kind.offers] += 1
        elif (
            offer.state is OfferState.accepted
            and offer.organization == referral.acceptor
            and not referral.is_closed
        ):
            counts[offer.organization, offer.service, _Kind.accepted] += 1
    return counts


def _newly_asked(before: Referral | None, after: Referral) -> dict[str, dt.datetime]:
    known = len(before.offers) if before is not None else 0
    # Offers are only ever appended.
    return {offer.organization: offer.opened_at for offer in after.offers[known:]}
