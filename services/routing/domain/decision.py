"""A decision: who could be asked, who may be, in which order, and why. A value; acting on it comes later."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from services.routing.domain import rules
from services.routing.domain.directory import Offering
from services.routing.domain.policy import Policy
from services.routing.domain.rules import Circumstances, Failure
from services.routing.domain.scoring import contributions, score


class Trigger(StrEnum):
    """What made routing decide."""

    submitted = "submitted"
    declined = "declined"
    expired = "expired"
    organization_suspended = "organization_suspended"
    placed_by_coordinator = "placed_by_coordinator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One service that was considered.

    rank: 1 for the organisation to be asked first; None for who may not be asked, and for the further
    services of an organisation that has a better one.
    """

    organization: str
    service: str
    failures: tuple[Failure, ...] = ()
    score: float | None = None
    contributions: Mapping[str, float] = field(default_factory=dict)
    rank: int | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether every rule holds that has to."""
        return self.score is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The whole evidence of one routing decision. directory_version: the state of the replica it used."""

    id: str
    referral_id: str
    decided_at: dt.datetime
    trigger: Trigger
    policy_version: str
    directory_version: int
    candidates: tuple[Candidate, ...]
    # Which rules were evaluated, and which of them a coordinator set aside.
    rules: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    # What each contribution to a score counted.
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def ranked(self) -> list[Candidate]:
        """One candidate an organisation, the best first."""
        return sorted(
            (candidate for candidate in self.candidates if candidate.rank is not None),
            key=lambda candidate: candidate.rank or 0,
        )


def decide(
    decision_id: str,
    given: Circumstances,
    policy: Policy,
    trigger: Trigger,
    *,
    placed_with: str | None = None,
) -> Decision:
    """Ranks everybody who could be asked.

    Candidates are the services that meet the principal need in the region; for a referral to a named
    organisation, and for a placement by hand, all services of that organisation.
    """
    overridable = rules.COORDINATOR_MAY_OVERRIDE if placed_with else frozenset()
    named = placed_with or given.facts.to
    offerings = (
        given.directory.offerings_of(named)
        if named
        else given.directory.offerings_for(given.principal_need, given.facts.region)
    )
    weights = policy.weights.by_name()
    considered = [_consider(offering, given, weights, overridable) for offering in offerings]
    overridden = {failure.rule for c in considered if c.is_eligible for failure in c.failures}
    return Decision(
        id=decision_id,
        referral_id=given.referral_id,
        decided_at=given.now,
        trigger=trigger,
        policy_version=policy.version,
        directory_version=given.directory.version,
        candidates=_ranked(considered, given.referral_id),
        rules=tuple(rules.RULES),
        overridden=tuple(sorted(overridden)),
        weights=weights,
    )


def _consider(
    offering: Offering, given: Circumstances, weights: Mapping[str, float], overridable: frozenset[str]
) -> Candidate:
    organization, service = offering.organization.id, offering.service.id
    failures = rules.failures(offering, given)
    if failures and not (overridable and all(failure.rule in overridable for failure in failures)):
        return Candidate(organization=organization, service=service, failures=failures)
    values = contributions(offering, given)
    return Candidate(
        organization=organization,
        service=service,
        failures=failures,
        score=score(values, weights),
        contributions=values,
    )


def _ranked(considered: Iterable[Candidate], referral_id: str) -> tuple[Candidate, ...]:
    """The candidates with their ranks: best score first, one rank an organisation.

    A placement by hand takes the service for which the fewest rules have to be set aside.
    Equal scores are ordered by a hash of referral and organisation: the same again for the same
    referral, and over many referrals nobody's favourite.
    """

    def order(candidate: Candidate) -> tuple[int, float, bytes, str]:
        tie = hashlib.sha256(f"{referral_id} {candidate.organization}".encode()).digest()
        return (len(candidate.failures), -(candidate.score or 0.0), tie, candidate.service)

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
