"""A routing decision as a value: the candidates, their eligibility and ranking, and the evidence."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from contracts.codes import CapacityStatus
from services.routing.domain import rules
from services.routing.domain.observed_record import ObservedRecord, observed_record
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.rules import Circumstances, Failure
from services.routing.domain.scoring import contributions, score


class Trigger(StrEnum):
    """The event that caused a decision."""

    submitted = "submitted"
    declined = "declined"
    expired = "expired"
    organization_suspended = "organization_suspended"
    placed_by_coordinator = "placed_by_coordinator"
    place_may_be_free = "place_may_be_free"


class Lack(StrEnum):
    """Why a decision has no candidates."""

    unknown_organization = "unknown_organization"
    organization_without_services = "organization_without_services"
    need_not_offered = "need_not_offered"
    need_not_offered_in_region = "need_not_offered_in_region"


@dataclass(frozen=True, kw_only=True, slots=True)
class NobodyConsidered:
    """The explanation of a decision without candidates.

    organization: the organisation that was named, None for a search. elsewhere: how many organisations meet
    the need in other regions.
    """

    reason: Lack
    need: str
    region: str
    organization: str | None = None
    elsewhere: int = 0


# Services with capacity come first, then those that assess the person first, then waiting lists.
ORDER_OF_CAPACITY: Mapping[CapacityStatus, int] = {
    CapacityStatus.capacity: 0,
    CapacityStatus.assessment_required: 1,
    CapacityStatus.waitlist: 2,
    CapacityStatus.no_capacity: 3,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One service that was considered.

    rank: from 1, in the order of asking; None for an ineligible service, and for a service whose
    organisation has a better one. capacity: as the directory stated it.
    """

    organization: str
    service: str
    capacity: CapacityStatus
    # The revision of the organisation's record in the directory service.
    revision: int = 0
    failures: tuple[Failure, ...] = ()
    score: float | None = None
    contributions: Mapping[str, float] = field(default_factory=dict)
    rank: int | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether the organisation may be asked: every rule holds or was overridden."""
        return self.score is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionInputs:
    """What the decision read besides the referral's facts, the policy and the directory.

    asked: the organisations that had received an offer. placed_with: the one that a coordinator chose.
    observed: of each candidate's organisation, as `observed_record`; organisations without any are missing.
    With them, `recomputation.py` makes the same decision again.
    """

    asked: tuple[str, ...] = ()
    placed_with: str | None = None
    observed: Mapping[str, ObservedRecord] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One routing decision with its evidence.

    directory_version: the number of the last change of the directory that routing had read. All processes of
    a hub's routing share these numbers.
    """

    id: str
    referral_id: str
    decided_at: dt.datetime
    trigger: Trigger
    policy_version: str
    directory_version: int
    candidates: tuple[Candidate, ...]
    # The rules that were evaluated, and those that a coordinator overrode for the ranked service.
    rules: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    # Set if there are no candidates.
    nobody: NobodyConsidered | None = None
    # The weight of each contribution to a score.
    weights: Mapping[str, float] = field(default_factory=dict)
    inputs: DecisionInputs = field(default_factory=DecisionInputs)

    @property
    def ranked(self) -> list[Candidate]:
        """The ranked candidates, one for each organisation, best first."""
        return sorted(
            (candidate for candidate in self.candidates if candidate.rank is not None),
            key=lambda candidate: candidate.rank or 0,
        )

    @property
    def lack_only_a_place(self) -> frozenset[tuple[str, str]]:
        """The candidates, as (organisation, service), that could be asked if a place were free."""
        return frozenset(
            (candidate.organization, candidate.service)
            for candidate in self.candidates
            if candidate.failures
            and not candidate.is_eligible
            and all(failure.rule == rules.PLACE_LEFT for failure in candidate.failures)
        )


def decide(
    decision_id: str,
    given: Circumstances,
    policy: RoutingPolicy,
    trigger: Trigger,
    *,
    placed_with: str | None = None,
) -> Decision:
    """Rank all candidates for a referral.

    The candidates are the services that meet the principal need in the region. For a referral to a named
    organisation and for a placement they are all services of that organisation.
    """
    overridable = rules.COORDINATOR_MAY_OVERRIDE if placed_with else frozenset()
    named = placed_with or given.facts.to
    offered_services = (
        given.directory.offered_services_of(named)
        if named
        else given.directory.offered_services_for(given.principal_need, given.facts.region)
    )
    weights = policy.weights.by_name()
    considered = [_consider(offered, given, weights, overridable) for offered in offered_services]
    ranked = _ranked(considered, given.referral_id)
    overridden = {failure.rule for c in ranked if c.rank is not None for failure in c.failures}
    return Decision(
        id=decision_id,
        referral_id=given.referral_id,
        decided_at=given.now,
        trigger=trigger,
        policy_version=policy.version,
        directory_version=given.directory.version,
        candidates=ranked,
        rules=tuple(rules.RULES),
        overridden=tuple(sorted(overridden)),
        nobody=None if ranked else _nobody(given, named),
        weights=weights,
        inputs=_inputs(given, offered_services, placed_with),
    )


def _inputs(
    given: Circumstances, offered_services: Iterable[OfferedService], placed_with: str | None
) -> DecisionInputs:
    observed: dict[str, ObservedRecord] = {}
    for offered in offered_services:
        organization = offered.organization.id
        if organization not in observed and (record := observed_record(given.observed(organization))):
            observed[organization] = record
    return DecisionInputs(asked=tuple(sorted(given.asked)), placed_with=placed_with, observed=observed)


def _nobody(given: Circumstances, named: str | None) -> NobodyConsidered:
    need, region, directory = given.principal_need, given.facts.region, given.directory
    elsewhere = 0
    if named is not None:
        known = directory.organization(named) is not None
        reason = Lack.organization_without_services if known else Lack.unknown_organization
    else:
        elsewhere = directory.serves_elsewhere(need)
        reason = Lack.need_not_offered_in_region if elsewhere else Lack.need_not_offered
    return NobodyConsidered(reason=reason, need=need, region=region, organization=named, elsewhere=elsewhere)


def _consider(
    offered: OfferedService, given: Circumstances, weights: Mapping[str, float], overridable: frozenset[str]
) -> Candidate:
    organization, service = offered.organization.id, offered.service.id
    capacity = offered.service.capacity.status
    failures = rules.failures(offered, given)
    if failures and not (overridable and all(failure.rule in overridable for failure in failures)):
        return Candidate(
            organization=organization,
            service=service,
            capacity=capacity,
            revision=offered.revision,
            failures=failures,
        )
    values = contributions(offered, given)
    return Candidate(
        organization=organization,
        service=service,
        capacity=capacity,
        revision=offered.revision,
        failures=failures,
        score=score(values, weights),
        contributions=values,
    )


def _ranked(considered: Iterable[Candidate], referral_id: str) -> tuple[Candidate, ...]:
    """Return the candidates with their ranks, one rank for each organisation.

    The order is: fewest overridden rules (placements only), capacity (`ORDER_OF_CAPACITY`), score. A hash
    of referral and organisation breaks ties: reproducible for one referral, even over many.
    """

    def order(candidate: Candidate) -> tuple[int, int, float, bytes, str]:
        tie = hashlib.sha256(f"{referral_id} {candidate.organization}".encode()).digest()
        return (
            len(candidate.failures),
            ORDER_OF_CAPACITY[candidate.capacity],
            -(candidate.score or 0.0),
            tie,
            candidate.service,
        )

    eligible: list[Candidate] = []
    others: list[Candidate] = []
    for candidate in considered:
        (eligible if candidate.is_eligible else others).append(candidate)
    placed: set[str] = set()
    ranked: list[Candidate] = []
    for candidate in sorted(eligible, key=order):
        if candidate.organization in placed:
            ranked.append(candidate)
        else:
            placed.add(candidate.organization)
            ranked.append(replace(candidate, rank=len(placed)))
    return (*ranked, *others)
