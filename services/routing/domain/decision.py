"""A routing decision as a value: the candidates, their eligibility and ranking, and the evidence."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile

from contracts.codes import CapacityStatus, Urgency
from services.routing.domain import rules
from services.routing.domain.capacity import ORDER_OF_CAPACITY
from services.routing.domain.chain import Chain
from services.routing.domain.evaluation import Evaluation
from services.routing.domain.fairness import Contender, Fairness, Turn, draw_of
from services.routing.domain.observation import NOTHING_OBSERVED
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
    no_answer_yet = "no_answer_yet"
    handed_back = "handed_back"
    organization_suspended = "organization_suspended"
    placed_by_coordinator = "placed_by_coordinator"
    moved_on_by_coordinator = "moved_on_by_coordinator"
    place_may_be_free = "place_may_be_free"
    directory_changed = "directory_changed"
    time_passed = "time_passed"
    # All referrals that could get an offer are decided again, at the start of a day and of a process.
    review = "review"


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


_NOTHING: Mapping[str, float] = {}


# Neither frozen nor by keyword: a decision makes hundreds.
@dataclass(slots=True)
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
    contributions: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    rank: int | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether the organisation may be asked: every rule holds or was overridden."""
        return self.score is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionInputs:
    """The inputs of a decision besides the referral's facts, the policy and the directory.

    asked: the organisations that had received an offer. declined_as_full: when some of them declined for lack
    of capacity. placed_with: the one that a coordinator chose. observed: of each candidate's organisation, as
    `observed_record`; organisations without any are missing. chain: of an onward referral. With them,
    `recomputation.py` makes the same decision again.
    """

    asked: tuple[str, ...] = ()
    declined_as_full: Mapping[str, dt.datetime] = field(default_factory=dict)
    placed_with: str | None = None
    observed: Mapping[str, ObservedRecord] = field(default_factory=dict)
    chain: Chain | None = None


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
    # Why the first-ranked organisation comes first; None if nobody is ranked.
    turn: Turn | None = None
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

    @property
    def retry_at(self) -> dt.datetime | None:
        """The earliest time at which a candidate fails no rule any more, or only lacks a place."""
        times: list[dt.datetime] = []
        for candidate in self.candidates:
            if candidate.is_eligible:
                continue
            untils = [failure.detail.get(rules.UNTIL) for failure in candidate.failures]
            known = [until for until in untils if isinstance(until, dt.datetime)]
            places = sum(failure.rule == rules.PLACE_LEFT for failure in candidate.failures)
            if known and len(known) + places == len(untils):
                times.append(max(known))
        return min(times, default=None)


def decide(
    decision_id: str,
    given: Circumstances,
    policy: RoutingPolicy,
    trigger: Trigger,
    *,
    placed_with: str | None = None,
    only: str | None = None,
) -> Decision:
    """Rank all candidates for a referral.

    The candidates are the services that meet the principal need in the region. For a referral to a named
    organisation and for a placement they are all services of that organisation. only: consider this
    organisation's services instead, under the rules of a search.
    """
    overridable = rules.COORDINATOR_MAY_OVERRIDE if placed_with else frozenset()
    named = placed_with or only or given.facts.to
    offered_services = (
        given.directory.offered_services_of(named)
        if named
        else given.directory.offered_services_for(given.principal_need, given.facts.region)
    )
    weights = policy.weights.by_name()
    considered = _considered(
        offered_services,
        given,
        Evaluation(given, is_searched=not named),
        weights,
        overridable,
    )
    explores = given.facts.urgency is not Urgency.emergency
    ranked, turn = rank(
        considered,
        given.referral_id,
        policy.fairness,
        {
            one.organization: _contender(one.organization, given)
            for one in considered
            if one.score is not None
        },
        attempt=len(given.asked),
        explores=explores,
    )
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
        turn=turn,
        inputs=_inputs(given, offered_services, placed_with),
    )


def _inputs(
    given: Circumstances, offered_services: Iterable[OfferedService], placed_with: str | None
) -> DecisionInputs:
    observed: dict[str, ObservedRecord] = {}
    for offered in offered_services:
        organization = offered.organization.id
        seen = given.observed(organization)
        if seen is NOTHING_OBSERVED or organization in observed:
            continue
        if record := observed_record(seen):
            observed[organization] = record
    return DecisionInputs(
        asked=tuple(sorted(given.asked)),
        declined_as_full=given.declined_as_full,
        placed_with=placed_with,
        observed=observed,
        chain=given.chain,
    )


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


def _considered(
    offered_services: Iterable[OfferedService],
    given: Circumstances,
    evaluation: Evaluation,
    weights: Mapping[str, float],
    overridable: frozenset[str],
) -> list[Candidate]:
    considered = []
    for offered in offered_services:
        organization = offered.organization.id
        seen = given.observed(organization)
        failures = evaluation.failures(offered, seen)
        values, result = _NOTHING, None
        if not failures or (overridable and all(failure.rule in overridable for failure in failures)):
            values = contributions(offered, given, seen)
            result = score(values, weights)
        considered.append(
            Candidate(
                organization,
                offered.service.id,
                offered.capacity.status,
                offered.revision,
                failures,
                result,
                values,
            )
        )
    return considered


_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def _contender(organization: str, given: Circumstances) -> Contender:
    seen = given.observed(organization)
    return Contender(last_asked=seen.last_asked, judged=seen.judged)


def rank(
    considered: Iterable[Candidate],
    referral_id: str,
    fairness: Fairness,
    contenders: Mapping[str, Contender],
    *,
    attempt: int,
    explores: bool,
) -> tuple[tuple[Candidate, ...], Turn | None]:
    """Set the candidates' ranks, one for each organisation; return them in order, and why the first is first.

    The order is: fewest overridden rules (placements only), capacity (`ORDER_OF_CAPACITY`), score; then the
    equals are reordered, and one organisation may be moved to the front (`fairness.py`). A hash of referral
    and organisation breaks ties: reproducible for one referral, even over many. The result depends on the
    arguments only, and a recorded decision holds them all.

    contenders: of each organisation with an eligible service. attempt: how many organisations were asked
    before. explores: whether exploring is allowed at all.
    """
    eligible: list[Candidate] = []
    others: list[Candidate] = []
    for candidate in considered:
        (others if candidate.score is None else eligible).append(candidate)
    if not eligible:
        return tuple(others), None
    ties = {candidate.organization: _tie(referral_id, candidate.organization) for candidate in eligible}

    def by_score(candidate: Candidate) -> tuple[int, int, float, bytes, str]:
        score = -(candidate.score or 0.0)
        return (*_precedence(candidate), score, ties[candidate.organization], candidate.service)

    def by_turn(candidate: Candidate) -> tuple[dt.datetime, float, bytes]:
        score = -(candidate.score or 0.0)
        asked = contenders[candidate.organization].last_asked
        return (asked or _NEVER, score, ties[candidate.organization])

    best: dict[str, Candidate] = {}
    second: list[Candidate] = []
    for candidate in sorted(eligible, key=by_score):
        if best.setdefault(candidate.organization, candidate) is not candidate:
            second.append(candidate)
    by_rank = list(best.values())
    precedence, top = _precedence(by_rank[0]), by_rank[0].score or 0.0
    # Organisations that differ in capacity or in overridden rules are never equal, nor worth a try.
    peers = list(takewhile(lambda one: _precedence(one) == precedence, by_rank))
    band = list(takewhile(lambda one: round(top - (one.score or 0.0), 6) <= fairness.band, peers))
    equals = {one.organization for one in band}
    order = sorted(band, key=by_turn) + by_rank[len(band) :]
    draw = draw_of(referral_id, attempt) if explores else None
    explored: Candidate | None = None
    if draw is not None and draw < fairness.explore:
        untried = [
            one
            for one in peers
            if one is not order[0]
            and (one.organization not in equals or contenders[one.organization].judged < fairness.few)
        ]
        explored = min(untried, key=by_turn, default=None)
        if explored is not None:
            order.remove(explored)
            order.insert(0, explored)
    for number, candidate in enumerate(order, start=1):
        candidate.rank = number
    turn = Turn(
        band=fairness.band,
        explore=fairness.explore,
        few=fairness.few,
        attempt=attempt,
        draw=draw,
        equals=len(equals),
        explored=explored.organization if explored is not None else None,
        organizations={
            name: Contender(last_asked=one.last_asked, judged=one.judged, equal=name in equals)
            for name, one in contenders.items()
        },
    )
    return (*order, *second, *others), turn


def _precedence(candidate: Candidate) -> tuple[int, int]:
    return len(candidate.failures), ORDER_OF_CAPACITY[candidate.capacity]


def _tie(referral_id: str, organization: str) -> bytes:
    return hashlib.sha256(f"{referral_id} {organization}".encode()).digest()
