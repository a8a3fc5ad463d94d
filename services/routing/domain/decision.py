"""A routing decision as a value: the candidates, their eligibility and ranking, and the evidence."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby, repeat, takewhile
from typing import Any

from contracts.codes import CapacityStatus, Urgency
from services.routing.domain import rules
from services.routing.domain.capacity import ORDER_OF_CAPACITY
from services.routing.domain.chain import Chain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.evaluation import Evaluation
from services.routing.domain.fairness import Contender, Fairness, Turn, draw_of
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.observed_record import ObservedRecord, observed_record
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.rules import Failure
from services.routing.domain.scoring import Scoring
from services.routing.domain.shortlist import Shortlist


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
    of capacity. declined_for_person: why organisations will not or may not help the person. placed_with: the
    one that a coordinator chose. observed: of each candidate's organisation, as `observed_record`;
    organisations without any are missing. chain: of an onward referral. whole_needs: of a part. With them,
    `recomputation.py` makes the same decision again.
    """

    asked: tuple[str, ...] = ()
    declined_as_full: Mapping[str, dt.datetime] = field(default_factory=dict)
    declined_for_person: Mapping[str, str] = field(default_factory=dict)
    placed_with: str | None = None
    observed: Mapping[str, ObservedRecord] = field(default_factory=dict)
    chain: Chain | None = None
    whole_needs: tuple[str, ...] = ()


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
    shortlist = (
        given.directory.shortlist_of(named)
        if named
        else given.directory.shortlist_for(given.principal_need, given.facts.region)
    )
    observed = _observed(shortlist, given)
    considered = _considered(
        shortlist,
        observed,
        Evaluation(given, is_searched=not named).failures(shortlist, observed),
        Scoring(given, policy.weights),
        overridable,
    )
    explores = given.facts.urgency is not Urgency.emergency
    ranked, turn = rank(
        considered,
        given.referral_id,
        policy.fairness,
        _contenders(considered, observed),
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
        weights=policy.weights.by_name(),
        turn=turn,
        inputs=_inputs(given, observed, placed_with),
    )


def _observed(shortlist: Shortlist, given: Circumstances) -> Mapping[str, Observation]:
    """Return what was observed of each organisation; those of which nothing was are missing."""
    organizations = shortlist.first
    observed = zip(organizations, map(given.observed, organizations), strict=True)
    return {name: seen for name, seen in observed if seen is not NOTHING_OBSERVED}


def _inputs(
    given: Circumstances, observed: Mapping[str, Observation], placed_with: str | None
) -> DecisionInputs:
    return DecisionInputs(
        asked=tuple(sorted(given.asked)),
        declined_as_full=given.declined_as_full,
        declined_for_person=given.declined_for_person,
        placed_with=placed_with,
        observed={name: record for name, seen in observed.items() if (record := observed_record(seen))},
        chain=given.chain,
        whole_needs=given.whole_needs,
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
    shortlist: Shortlist,
    observed: Mapping[str, Observation],
    failed: Sequence[tuple[Failure, ...]],
    scoring: Scoring,
    overridable: frozenset[str],
) -> list[Candidate]:
    """failed: the failures of each service of the shortlist."""
    considered = list(
        map(
            Candidate,
            shortlist.organizations,
            shortlist.service_ids,
            shortlist.statuses,
            shortlist.revisions,
            failed,
            repeat(None),
            repeat(_NOTHING),
        )
    )
    for position, failures in enumerate(failed):
        if not failures or (overridable and all(failure.rule in overridable for failure in failures)):
            offered, candidate = shortlist.services[position], considered[position]
            seen = observed.get(offered.organization_id, NOTHING_OBSERVED)
            candidate.contributions, candidate.score = scoring.scored(offered, seen)
    return considered


_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def _contenders(considered: Iterable[Candidate], observed: Mapping[str, Observation]) -> dict[str, Contender]:
    contenders: dict[str, Contender] = {}
    for candidate in considered:
        if candidate.score is not None and candidate.organization not in contenders:
            seen = observed.get(candidate.organization, NOTHING_OBSERVED)
            contenders[candidate.organization] = Contender(last_asked=seen.last_asked, judged=seen.judged)
    return contenders


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

    contenders: of each organisation with an eligible service; `equal` is set, and the turn holds them.
    attempt: how many organisations were asked before. explores: whether exploring is allowed at all.
    """
    eligible: list[Candidate] = []
    others: list[Candidate] = []
    for candidate in considered:
        (others if candidate.score is None else eligible).append(candidate)
    if not eligible:
        return tuple(others), None

    ties: dict[str, bytes] = {}

    def tie(candidate: Candidate) -> tuple[bytes, str]:
        organization = candidate.organization
        if organization not in ties:
            ties[organization] = hashlib.sha256(f"{referral_id} {organization}".encode()).digest()
        return ties[organization], candidate.service

    def by_turn(candidate: Candidate) -> tuple[dt.datetime, float]:
        return contenders[candidate.organization].last_asked or _NEVER, -(candidate.score or 0.0)

    best: dict[str, Candidate] = {}
    second: list[Candidate] = []
    for candidate in _sorted(eligible, _by_score, tie):
        if best.setdefault(candidate.organization, candidate) is not candidate:
            second.append(candidate)
    by_rank = list(best.values())
    failed, capacity, top = len(by_rank[0].failures), by_rank[0].capacity, by_rank[0].score or 0.0
    # Organisations that differ in capacity or in overridden rules are never equal, nor worth a try.
    peers = list(
        takewhile(lambda one: one.capacity is capacity and len(one.failures) == failed, by_rank),
    )
    band = list(takewhile(lambda one: round(top - (one.score or 0.0), 6) <= fairness.band, peers))
    for one in band:
        contenders[one.organization].equal = True
    order = _sorted(band, by_turn, tie) + by_rank[len(band) :]
    draw = draw_of(referral_id, attempt) if explores else None
    explored: Candidate | None = None
    if draw is not None and draw < fairness.explore:
        untried = [
            one
            for one in peers
            if one is not order[0]
            and (not contenders[one.organization].equal or contenders[one.organization].judged < fairness.few)
        ]
        if untried:
            explored = _sorted(untried, by_turn, tie)[0]
            order = [explored, *(one for one in order if one is not explored)]
    for number, candidate in enumerate(order, start=1):
        candidate.rank = number
    turn = Turn(
        band=fairness.band,
        explore=fairness.explore,
        few=fairness.few,
        attempt=attempt,
        draw=draw,
        equals=len(band),
        explored=explored.organization if explored is not None else None,
        organizations=contenders,
    )
    return (*order, *second, *others), turn


_MOST_OFTEN = CapacityStatus.capacity


def _by_score(candidate: Candidate) -> tuple[int, int, float]:
    capacity = candidate.capacity
    # Enumerations hash slowly.
    order = 0 if capacity is _MOST_OFTEN else ORDER_OF_CAPACITY[capacity]
    return len(candidate.failures), order, -(candidate.score or 0.0)


def _sorted(
    candidates: Sequence[Candidate],
    key: Callable[[Candidate], tuple[Any, ...]],
    tie: Callable[[Candidate], tuple[bytes, str]],
) -> list[Candidate]:
    """Sort by the key, then by the tie, which is made only for candidates whose keys are equal."""
    keys = list(map(key, candidates))
    numbers = sorted(range(len(keys)), key=keys.__getitem__)
    ordered: list[Candidate] = []
    for _, run in groupby(numbers, key=keys.__getitem__):
        equals = [candidates[number] for number in run]
        ordered += equals if len(equals) == 1 else sorted(equals, key=tie)
    return ordered
