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

    Candidates are the services of organisations that meet the principal need in the region; for a
    referral to a named organisation, and for a placement by hand, that organisation's services alone.
    """
    overridable = rules.COORDINATOR_MAY_OVERRIDE if placed_with else frozenset()
    named = placed_with or given.facts.to
    offerings = (
        given.directory.offerings_of(named)
        if named
        else given.directory.offerings_for(given.principal_need, given.facts.region)
    )
    considered = [_consider(offering, given, policy, overridable) for offering in offerings]
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
    )


def _consider(
    offering: Offering, given: Circumstances, policy: Policy, overridable: frozenset[str]
) -> Candidate:
    failures = rules.failures(offering, given)
    candidate = Candidate(
        organization=offering.organization.id, service=offering.service.id, failures=failures
    )
    if any(failure.rule not in overridable for failure in failures):
        return candidate
    values = contributions(offering, given)
    return replace(candidate, contributions=values, score=score(values, policy.weights))


def _ranked(considered: Iterable[Candidate], referral_id: str) -> tuple[Candidate, ...]:
    """The candidates with their ranks: best score first, one rank an organisation.

    Equal scores are ordered by a hash of referral and organisation: the same again for the same
    referral, and over many referrals nobody's favourite.
    """

    def order(candidate: Candidate) -> tuple[float, str, str]:
        tie = hashlib.sha256(f"{referral_id} {candidate.organization}".encode()).hexdigest()
        return (-(candidate.score or 0.0), tie, candidate.service)

    everybody = list(considered)
    eligible = sorted((candidate for candidate in everybody if candidate.is_eligible), key=order)
    placed: set[str] = set()
    ranked: list[Candidate] = []
    for candidate in eligible:
        if candidate.organization in placed:
            ranked.append(candidate)
        else:
            placed.add(candidate.organization)
            ranked.append(replace(candidate, rank=len(placed)))
    return (*ranked, *(candidate for candidate in everybody if not candidate.is_eligible))
