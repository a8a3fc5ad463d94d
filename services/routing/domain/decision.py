"""A routing decision as a value: the candidates, their eligibility and ranking, and the evidence."""

from __future__ import annotations

import datetime as dt
import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import groupby, takewhile
from typing import Any

from contracts.codes import CapacityStatus, Urgency
from contracts.quick_init import quick_init
from services.routing.domain import rules
from services.routing.domain.candidates import Candidate, Candidates
from services.routing.domain.capacity import ORDER_OF_CAPACITY
from services.routing.domain.chain import Chain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.evaluation import Evaluation
from services.routing.domain.failure import Failure
from services.routing.domain.fairness import Contender, Fairness, FairTurn, draw_of
from services.routing.domain.observation import Observation
from services.routing.domain.observed_record import ObservedOrganizations, OwnWithdrawnOffers
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.prospects import Prospects, prospects_of
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
    approval_ended = "approval_ended"
    agreement_ended = "agreement_ended"
    organization_changed = "organization_changed"
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


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionInputs:
    """The inputs of a decision besides the referral's facts, the policy and the directory.

    asked: the organisations that had received an offer. declined_as_full: when some of them declined for lack
    of capacity. declined_for_person: why organisations will not or may not help the person. placed_with: the
    one that a coordinator chose. observed: of the candidates' organisations. withdrawn: the withdrawn offers
    of the referral's sender at these that counted for it. chain: of an onward referral.
    whole_needs: of a part. approvals_serve_person, unknown_may_be_equal: see `Circumstances`. With them,
    `recomputation.py` makes the same decision again.
    """

    asked: tuple[str, ...] = ()
    declined_as_full: Mapping[str, dt.datetime] = field(default_factory=dict)
    declined_for_person: Mapping[str, str] = field(default_factory=dict)
    placed_with: str | None = None
    observed: ObservedOrganizations = field(default_factory=ObservedOrganizations)
    withdrawn: OwnWithdrawnOffers = field(default_factory=OwnWithdrawnOffers)
    chain: Chain | None = None
    whole_needs: tuple[str, ...] = ()
    approvals_serve_person: bool = True
    unknown_may_be_equal: bool = True


@quick_init
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
    candidates: Candidates
    # The rules that were evaluated, and those that a coordinator overrode for the ranked service.
    rules: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    # Set if there are no candidates.
    nobody: NobodyConsidered | None = None
    # The weight of each contribution to a score.
    weights: Mapping[str, float] = field(default_factory=dict)
    # Why the first-ranked organisation comes first; None if nobody is ranked.
    turn: FairTurn | None = None
    inputs: DecisionInputs = field(default_factory=DecisionInputs)

    @property
    def ranked(self) -> list[Candidate]:
        """The ranked candidates, one for each organisation, best first."""
        # They come first, in this order.
        return list(takewhile(lambda candidate: candidate.rank is not None, self.candidates.eligible))

    @property
    def prospects(self) -> Prospects:
        """The candidates that places or time alone may make available."""
        return prospects_of(self.candidates.excluded)


def decide(
    decision_id: str,
    given: Circumstances,
    policy: RoutingPolicy,
    trigger: Trigger,
    *,
    placed_with: str | None = None,
    only: str | None = None,
    considered: Set[str] | None = None,
) -> Decision:
    """Rank all candidates for a referral.

    The candidates are the services that meet the principal need in the region. For a referral to a named
    organisation and for a placement they are all services of that organisation. only: consider this
    organisation's services instead, under the rules of a search. considered: leave out every other
    organisation.
    """
    overridable = rules.COORDINATOR_MAY_OVERRIDE if placed_with else frozenset()
    named = placed_with or only or given.facts.to
    shortlist = (
        given.directory.shortlist_of(named)
        if named
        else given.directory.shortlist_for(given.principal_need, given.facts.region)
    )
    if considered is not None:
        shortlist = shortlist.only(
            considered, search=None if named else (given.principal_need, given.facts.region)
        )
    evaluation = Evaluation(given, is_searched=not named)
    failed = evaluation.failures(shortlist)
    # No observation makes an excluded service eligible: the rules about them wait until its record is read.
    possible = (
        [n for n, some in enumerate(failed) if not some or _is_overridden(some, overridable)]
        if overridable
        else [n for n, some in enumerate(failed) if not some]
    )
    seen = [given.observed(shortlist.organizations[n]) for n in possible]
    evaluation.add_observed(shortlist, possible, seen, failed)
    chosen: dict[int, Observation] = {
        n: one
        for n, one in zip(possible, seen, strict=True)
        if not failed[n] or _is_overridden(failed[n], overridable)
    }
    observed = ObservedOrganizations(shortlist.organizations, given.observed)
    scoring = Scoring(given, policy.weights, is_searched=not named)
    eligible, contenders = _scored(shortlist, failed, chosen, scoring, given.unknown_may_be_equal)
    turn = None
    if eligible:
        eligible, turn = rank(
            eligible,
            given.referral_id,
            policy.fairness,
            contenders,
            attempt=len(given.asked),
            explores=given.facts.urgency is not Urgency.emergency,
            benefit=scoring.benefit_of_doubt if given.unknown_may_be_equal else 0.0,
        )
    overridden = {failure.rule for one in eligible if one.rank is not None for failure in one.failures}
    return Decision(
        id=decision_id,
        referral_id=given.referral_id,
        decided_at=given.now,
        trigger=trigger,
        policy_version=policy.version,
        directory_version=given.directory.version,
        candidates=Candidates(
            eligible,
            shortlist.services,
            tuple(chosen),
            partial(_all_failures, evaluation, shortlist, observed, failed, possible),
        ),
        rules=_RULES,
        overridden=tuple(sorted(overridden)),
        nobody=None if failed else _nobody(given, named),
        weights=policy.weights.by_name(),
        turn=turn,
        inputs=_inputs(given, observed, placed_with),
    )


_RULES = tuple(rules.RULES)


def _inputs(given: Circumstances, observed: ObservedOrganizations, placed_with: str | None) -> DecisionInputs:
    return DecisionInputs(
        asked=tuple(sorted(given.asked)),
        declined_as_full=given.declined_as_full,
        declined_for_person=given.declined_for_person,
        placed_with=placed_with,
        observed=observed,
        withdrawn=OwnWithdrawnOffers(given, observed),
        chain=given.chain,
        whole_needs=given.whole_needs,
        approvals_serve_person=given.approvals_serve_person,
        unknown_may_be_equal=given.unknown_may_be_equal,
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


def _is_overridden(failures: tuple[Failure, ...], overridable: frozenset[str]) -> bool:
    return bool(overridable) and all(failure.rule in overridable for failure in failures)


def _all_failures(
    evaluation: Evaluation,
    shortlist: Shortlist,
    observed: ObservedOrganizations,
    failed: list[tuple[Failure, ...]],
    complete: Sequence[int],
) -> Sequence[tuple[Failure, ...]]:
    """Return the failures of each service. complete: the positions whose failures are complete already."""
    left = sorted(set(range(len(failed))).difference(complete))
    found = list(failed)
    evaluation.add_observed(shortlist, left, map(observed.each.__getitem__, left), found)
    return found


def _scored(
    shortlist: Shortlist,
    failed: Sequence[tuple[Failure, ...]],
    chosen: Mapping[int, Observation],
    scoring: Scoring,
    unknown_may_be_equal: bool,
) -> tuple[list[Candidate], dict[str, Contender]]:
    """Return the eligible candidates, and their organisations.

    failed: of each service of the shortlist. chosen: what was observed of the eligible ones, by position.
    unknown_may_be_equal: False if no organisation counts as unknown.
    """
    eligible: list[Candidate] = []
    contenders: dict[str, Contender] = {}
    is_near = shortlist.is_near
    for position, seen in chosen.items():
        offered = shortlist.services[position]
        contributions, score = scoring.scored(offered, seen, bool(is_near[position]) if is_near else None)
        organization = offered.organization_id
        eligible.append(
            Candidate(
                organization,
                offered.service_id,
                offered.status,
                offered.revision,
                failed[position],
                score,
                contributions,
            )
        )
        if organization not in contenders:
            judged = seen.judged
            contenders[organization] = Contender(
                last_asked=seen.last_asked,
                judged=judged,
                # One offer at a time: whoever is silent gets no second one before the first is judged.
                unknown=unknown_may_be_equal and not judged and not seen.pending,
            )
    return eligible, contenders


_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def rank(
    eligible: Sequence[Candidate],
    referral_id: str,
    fairness: Fairness,
    contenders: Mapping[str, Contender],
    *,
    attempt: int,
    explores: bool,
    benefit: float,
) -> tuple[list[Candidate], FairTurn]:
    """Set the candidates' ranks, one for each organisation; return them in order, and why the first is first.

    The order is: fewest overridden rules (placements only), capacity (`ORDER_OF_CAPACITY`), score; then the
    equals are moved to the front in the order of their turns, and one organisation may be moved before them
    (`fairness.py`). A hash of referral and organisation breaks ties: reproducible for one referral, even over
    many. The result depends on the arguments only, and a recorded decision holds them all.

    eligible: at least one. contenders: of each of their organisations; `equal` is set, and the turn holds
    them. attempt: how many organisations were asked before. explores: whether exploring, and the benefit of
    the doubt, are allowed at all. benefit: of an unknown organisation.
    """
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
    if not explores or not fairness.few:
        benefit = 0.0

    def is_within(one: Candidate, benefit: float) -> bool:
        return round(top - (one.score or 0.0) - benefit, 6) <= fairness.band

    # Those that would be equal if they were unknown; the others are further behind.
    near = list(takewhile(lambda one: is_within(one, benefit), peers))
    band = [one for one in near if contenders[one.organization].unknown or is_within(one, 0.0)]
    for one in band:
        contenders[one.organization].equal = True
    others = [one for one in near if not contenders[one.organization].equal]
    order = [*_sorted(band, by_turn, tie), *others, *by_rank[len(near) :]]
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
    turn = FairTurn(
        band=fairness.band,
        explore=fairness.explore,
        few=fairness.few,
        benefit=benefit,
        attempt=attempt,
        draw=draw,
        equals=len(band),
        explored=explored.organization if explored is not None else None,
        organizations=contenders,
    )
    return [*order, *second], turn


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
    in_order = [keys[number] for number in numbers]
    if not any(map(operator.eq, in_order, in_order[1:])):
        return [candidates[number] for number in numbers]
    ordered: list[Candidate] = []
    for _, run in groupby(numbers, key=keys.__getitem__):
        equals = [candidates[number] for number in run]
        ordered += equals if len(equals) == 1 else sorted(equals, key=tie)
    return ordered
