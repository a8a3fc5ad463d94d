"""An organisation's observed behaviour: how it answers offers, and its current load."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.routing.domain.places import NO_DEMAND, Demand, DemandBySender, added
from services.routing.domain.referral import Referral


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Counts since the organisation's first offer.

    answered and expired count offers. answer_seconds is the sum over the answered offers. accepted counts
    open referrals with this acceptor, pending the offers that await its answer. demand divides the pending
    offers by sender and urgency, and counts the referrals that wait for a place.
    """

    answered: int = 0
    expired: int = 0
    answer_seconds: int = 0
    accepted: int = 0
    pending: int = 0
    demand: DemandBySender = field(default_factory=lambda: NO_DEMAND)
    # When each service last declined or handed back for lack of capacity.
    full_since: Mapping[str, dt.datetime] = field(default_factory=lambda: _NEVER_FULL)

    @property
    def load(self) -> int:
        """Accepted referrals plus pending offers, so that a burst is not offered to one organisation."""
        return max(0, self.accepted + self.pending)

    def plus(self, other: Observation) -> Observation:
        """Return the sum of two counts or changes."""
        return Observation(
            answered=self.answered + other.answered,
            expired=self.expired + other.expired,
            answer_seconds=self.answer_seconds + other.answer_seconds,
            accepted=self.accepted + other.accepted,
            pending=self.pending + other.pending,
            demand=added(self.demand, other.demand),
            full_since=_latest(self.full_since, other.full_since),
        )


_NEVER_FULL: Mapping[str, dt.datetime] = {}


def _latest(one: Mapping[str, dt.datetime], other: Mapping[str, dt.datetime]) -> Mapping[str, dt.datetime]:
    if not other:
        return one
    return {**one, **{service: max(at, one.get(service, at)) for service, at in other.items()}}


NOTHING_OBSERVED = Observation()


def demand_between(before: Referral | None, after: Referral) -> dict[str, Observation]:
    """Return the change of each organisation's pending offers and waiting referrals between two states."""
    key = (after.sender, after.facts.urgency)
    now, then = _demand(after), _demand(before) if before is not None else {}
    changes: dict[str, Observation] = {}
    for organization in {**then, **now}:
        new, old = now.get(organization, _NOTHING), then.get(organization, _NOTHING)
        if new != old:
            change = Demand(offers=new.offers - old.offers, waiting=new.waiting - old.waiting)
            changes[organization] = Observation(pending=change.offers, demand={key: change})
    return changes


_NOTHING = Demand()


def _demand(referral: Referral) -> dict[str, Demand]:
    # A referral waits once for an organisation, for whichever of its services.
    found = {organization: Demand(waiting=1) for organization, _ in referral.waiting}
    for offer in referral.open_offers:
        found[offer.organization] = found.get(offer.organization, _NOTHING).plus(Demand(offers=1))
    return found
