"""An organisation's observed behaviour: how it answers offers, and the load of each of its services."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.codes import OfferState
from contracts.quick_init import quick_init
from contracts.records import Encoded
from services.routing.domain.places import NO_DEMAND, Demand, DemandBySender, added
from services.routing.domain.referral import Referral
from services.routing.domain.withdrawn_offers import NONE_WITHDRAWN, WithdrawnOffers, withdrawn_between
from services.routing.domain.withdrawn_offers import added as added_withdrawn

# The neutral responsiveness, of an organisation that has never been asked.
UNKNOWN_RESPONSIVENESS = 0.5
# A mean answer time up to this gets the full value.
PROMPT_SECONDS = 3600.0


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceLoad:
    """The referrals at one service.

    accepted: open referrals that the organisation accepted for this service. demand: open offers, and
    referrals that wait for a place, by sender and urgency.
    """

    accepted: int = 0
    demand: DemandBySender = field(default_factory=lambda: NO_DEMAND)
    # The offers that await an answer.
    pending: int = field(init=False, repr=False, compare=False)
    # Accepted referrals plus pending offers, so that a burst is not offered to one organisation.
    load: int = field(init=False, repr=False, compare=False)
    # The lowest maximum at which shares do not limit any sender; None if a referral waits.
    roomy: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once for all decisions that read the load.
        pending, taken, is_awaited = 0, max(0, self.accepted), False
        for one in self.demand.values():
            pending += one.offers
            taken += max(0, one.offers)
            is_awaited = is_awaited or one.waiting > 0
        object.__setattr__(self, "pending", pending)
        object.__setattr__(self, "load", max(0, self.accepted + pending))
        object.__setattr__(self, "roomy", None if is_awaited else taken + 1)

    def plus(self, other: ServiceLoad) -> ServiceLoad:
        """Return the sum of two counts or changes."""
        return ServiceLoad(accepted=self.accepted + other.accepted, demand=added(self.demand, other.demand))


NO_LOAD = ServiceLoad()


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Counts since the organisation's first offer, or a change of them.

    answered and expired count offers, whichever the service. An offer that a coordinator moved on because
    nobody answered counts as expired from half of its time on. returned counts, among the answered ones,
    those whose acceptance was handed back or revoked. answer_seconds is the sum over the other answered
    offers: a quick acceptance that came to nothing earns no credit for speed. last_asked: when its latest
    offer was opened, None if it was never asked. services: the load of each service; services without load
    are missing.
    """

    answered: int = 0
    expired: int = 0
    answer_seconds: int = 0
    last_asked: dt.datetime | None = None
    services: Mapping[str, ServiceLoad] = field(default_factory=dict)
    # When each service last declined or handed back for lack of capacity.
    full_since: Mapping[str, dt.datetime] = field(default_factory=lambda: _NEVER_FULL)
    returned: int = 0
    # For each sender, the offers that ended with their referral soon after they were opened.
    withdrawn: WithdrawnOffers = field(default_factory=lambda: NONE_WITHDRAWN)
    # Its form from `observed_record.py`; None before.
    record: Encoded | None = field(default=None, init=False, repr=False, compare=False)
    # How surely and fast it answers, from 0 to 1, rounded to six digits: a contribution to the score.
    responsiveness: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once for all decisions that read the observation.
        object.__setattr__(self, "responsiveness", self._responsiveness())

    def _responsiveness(self) -> float:
        asked = self.answered + self.expired
        if not asked:
            return UNKNOWN_RESPONSIVENESS
        # Half of the value is for answering at all, half for the speed of answers that held.
        held = self.answered - self.returned
        mean = self.answer_seconds / held if held else math.inf
        prompt = 1.0 if mean <= PROMPT_SECONDS else PROMPT_SECONDS / mean
        return round(0.5 * (self.answered + held * prompt) / asked, 6)

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
            returned=self.returned + other.returned,
            withdrawn=added_withdrawn(self.withdrawn, other.withdrawn),
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
    """Return the change of each organisation's load between two states of a referral, and withdrawn offers.

    They follow from the referrals alone, so that no transition can forget to count. before: None for a new
    referral.
    """
    key = (after.sender, after.facts.urgency)
    counts: dict[tuple[str, str], list[int]] = {}
    _count(after, 1, counts)
    if before is not None:
        _count(before, -1, counts)
    loads: dict[str, dict[str, ServiceLoad]] = {}
    for (organization, service), (accepted, offers, waiting) in counts.items():
        if accepted or offers or waiting:
            demand = {key: Demand(offers=offers, waiting=waiting)} if offers or waiting else NO_DEMAND
            change = ServiceLoad(accepted=accepted, demand=demand)
            loads.setdefault(organization, {})[service] = change
    asked = _newly_asked(before, after)
    withdrawn = withdrawn_between(before, after)
    return {
        organization: Observation(
            last_asked=asked.get(organization),
            services=loads.get(organization, {}),
            withdrawn=withdrawn.get(organization, NONE_WITHDRAWN),
        )
        for organization in {**loads, **asked, **withdrawn}
    }


_ACCEPTED, _OFFERS, _WAITING = range(3)


def _count(referral: Referral, sign: int, counts: dict[tuple[str, str], list[int]]) -> None:
    """Add what the referral holds at each service, times `sign`: accepted, open offers, waiting."""
    for place in referral.waiting:
        counts.setdefault(place, [0, 0, 0])[_WAITING] += sign
    acceptor = None if referral.is_closed else referral.acceptor
    for offer in referral.offers:
        if offer.is_open:
            counts.setdefault((offer.organization, offer.service), [0, 0, 0])[_OFFERS] += sign
        elif offer.state is OfferState.accepted and offer.organization == acceptor:
            counts.setdefault((offer.organization, offer.service), [0, 0, 0])[_ACCEPTED] += sign


def _newly_asked(before: Referral | None, after: Referral) -> dict[str, dt.datetime]:
    known = len(before.offers) if before is not None else 0
    # Offers are only ever appended.
    return {offer.organization: offer.opened_at for offer in after.offers[known:]}
