"""A service together with the organisation that offers it, prepared for matching."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Final

from contracts.codes import CapacityStatus, Funding, Vetting
from contracts.organization import Capacity, Eligibility, Organization, Service
from contracts.vocabularies import need_group, sensitive_needs
from services.routing.domain.capacity import tightest_capacity

AFFORDABILITY: Mapping[Funding, float] = {Funding.free: 1.0, Funding.at_cost: 0.5, Funding.commercial: 0.0}


class Needs:
    """A service that an organisation offers: the needs that it meets."""

    __slots__ = ("_met", "_offered")

    def __init__(self, offered: Iterable[str]) -> None:
        self._offered = frozenset(offered)
        # With their groups.
        self._met = self._offered.union(map(need_group, self._offered))

    def cover(self, needed: str) -> bool:
        """Whether the set holds the code or its group, or, if the code is a group, any need in it."""
        return needed in self._met or need_group(needed) in self._offered

    def covered(self, needed: Iterable[tuple[str, str]]) -> list[str]:
        """Return those of the codes that are covered. needed: each with its group."""
        met, offered = self._met, self._offered
        return [need for need, group in needed if need in met or group in offered]

    def count(self, needed: Iterable[tuple[str, str]]) -> int:
        """Return how many of the codes are covered. needed: each with its group."""
        met, offered, covered = self._met, self._offered, 0
        for need, group in needed:
            if need in met or group in offered:
                covered += 1
        return covered


class Trait:
    """Values that many services have in common; equal values have the same instance."""

    __slots__ = ()


class Profile:
    """The traits of a service that groups of rules read (`evaluation.py`); equal ones are one instance.

    traits: the organisation's standing, the people whom the service is for, its languages, its terms.
    number: from 0, for tables by profile; UNNUMBERED if there were that many profiles before.
    """

    __slots__ = ("number", "traits")

    def __init__(self, *traits: Trait) -> None:
        self.traits = traits
        self.number = min(next(_numbers), UNNUMBERED)


_numbers = count()
# Changes of services make new profiles, and tables have a place for each number. A network of 50,000 services
# has some 500 profiles.
UNNUMBERED: Final = 16_384


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedService:
    """A service and the organisation that offers it. revision: of the organisation's record.

    The values that each decision reads are derived once, when the record changes, so that a decision about
    hundreds of services reads one object for each.
    """

    organization: Organization
    service: Service
    revision: int = 0
    organization_id: str = field(init=False, repr=False, compare=False)
    service_id: str = field(init=False, repr=False, compare=False)
    is_vetted: bool = field(init=False, repr=False, compare=False)
    # The tightest of the service's capacities.
    capacity: Capacity = field(init=False, repr=False, compare=False)
    status: CapacityStatus = field(init=False, repr=False, compare=False)
    maximum: int | None = field(init=False, repr=False, compare=False)
    updated_at: dt.datetime = field(init=False, repr=False, compare=False)
    # The same in microseconds, which a score reads.
    updated_us: int = field(init=False, repr=False, compare=False)
    # The contribution of the cost to the score.
    affordability: float = field(init=False, repr=False, compare=False)
    areas: frozenset[str] = field(init=False, repr=False, compare=False)
    languages: frozenset[str] = field(init=False, repr=False, compare=False)
    # The service's own languages and those it has interpreters for.
    spoken: frozenset[str] = field(init=False, repr=False, compare=False)
    needs: Needs = field(init=False, repr=False, compare=False)
    # True when the service has no eligibility conditions.
    is_for_anyone: bool = field(init=False, repr=False, compare=False)
    # The sensitive needs, and whole groups, that the network has approved this service for.
    approved: frozenset[str] = field(init=False, repr=False, compare=False)
    # The same for all services of the organisation together.
    organization_approved: frozenset[str] = field(init=False, repr=False, compare=False)
    # The needs that the service may meet: those that are not sensitive, and those that it is approved for.
    approved_needs: Needs = field(init=False, repr=False, compare=False)
    # The same for all services of the organisation together.
    organization_needs: Needs = field(init=False, repr=False, compare=False)
    # The unit of the tightest capacity, for a service that states several.
    unit: str | None = field(init=False, repr=False, compare=False)
    profile: Profile = field(init=False, repr=False, compare=False)
    # The JSON of the service as a candidate of a decision, up to the rules that it fails (`candidates.py`).
    candidate_json: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        service, organization = self.service, self.organization
        capacity = tightest_capacity(service)
        spoken = _shared(frozenset((*service.languages, *service.interpretation)))
        approved = {one.service: frozenset(one.needs) for one in self.organization.approved_services}
        standing = _trait(
            organization.active,
            organization.vetting,
            organization.sealing_key is None,
            organization.country,
            organization.kind,
            organization.parent,
        )
        people = _trait(service.settlements, service.eligibility)
        tongues = _trait(spoken)
        terms = _trait(
            service.cost,
            service.always_open,
            capacity.status,
            capacity.unit,
            bool(service.further_capacities),
        )
        needs = Needs(service.needs)
        allowed = tuple(_allowed(service, approved))
        derived: dict[str, object] = {
            "organization_id": organization.id,
            "service_id": sys.intern(service.id),
            "is_vetted": organization.vetting is Vetting.vetted,
            "capacity": capacity,
            "status": capacity.status,
            "maximum": capacity.maximum,
            "updated_at": capacity.updated_at,
            "updated_us": in_microseconds(capacity.updated_at),
            "affordability": AFFORDABILITY[service.cost],
            "areas": _shared(frozenset(service.areas)),
            "languages": _shared(frozenset(service.languages)),
            "spoken": spoken,
            "needs": needs,
            "approved_needs": needs if len(allowed) == len(service.needs) else Needs(allowed),
            "is_for_anyone": service.eligibility == Eligibility(),
            "approved": approved.get(service.id, frozenset()),
            "organization_approved": frozenset().union(
                *(approved.get(s.id, frozenset()) for s in self.organization.services)
            ),
            "organization_needs": Needs(
                code for s in self.organization.services for code in _allowed(s, approved)
            ),
            "unit": capacity.unit if service.further_capacities else None,
            "profile": _profile(standing, people, tongues, terms),
            # No id has a character that JSON escapes.
            "candidate_json": f'{{"organization":"{organization.id}","service":"{service.id}",'
            f'"capacity":"{capacity.status.value}","revision":{self.revision},"failures":',
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def is_approved_for(self, need: str) -> bool:
        """Return whether the network has approved the service for the need or its whole group.

        Stricter than `Needs`: for a referral that names a group, the whole group must be approved.
        """
        return _covered(need, self.approved)

    def is_organization_approved(self, need: str) -> bool:
        """Return whether the network has approved any of the organisation's services for the need."""
        return _covered(need, self.organization_approved)


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def in_microseconds(moment: dt.datetime) -> int:
    """Return the microseconds from 1970 to a moment."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=65_536)
def _shared(codes: frozenset[str]) -> frozenset[str]:
    """Return the same instance for equal sets: a decision reads it from memory once for many services."""
    return codes


# Enough for a large network. A forgotten trait is made again, and the rules are evaluated for it again.
@lru_cache(maxsize=65_536)
def _trait(*_values: object) -> Trait:
    return Trait()


@lru_cache(maxsize=65_536)
def _profile(*traits: Trait) -> Profile:
    return Profile(*traits)


def _allowed(service: Service, approved: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield the codes of a service that are not sensitive or approved. approved: by the id of the service."""
    of_service = approved.get(service.id, frozenset())
    for code in service.needs:
        if code not in sensitive_needs() or _covered(code, of_service):
            yield code


def _covered(need: str, approved: frozenset[str]) -> bool:
    return need in approved or need_group(need) in approved
