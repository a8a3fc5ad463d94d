"""The decision in the plainest form: every rule for every candidate, nothing kept, nothing left out.

`decide` must make the same record. This is its definition, and far too slow for 50,000 services.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import replace

from contracts.codes import Funding, Urgency
from services.routing.domain import rules
from services.routing.domain.candidates import Candidate
from services.routing.domain.capacity import ORDER_OF_CAPACITY
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.fairness import Contender, FairTurn, draw_of
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.service_rules import area_served

COST = {Funding.free: 1.0, Funding.at_cost: 0.5, Funding.commercial: 0.0}
LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


def reference(
    given: Circumstances, policy: RoutingPolicy, placed_with: str | None = None
) -> tuple[tuple[Candidate, ...], FairTurn | None]:
    """Return what `decide` must return as its candidates and its turn."""
    named = placed_with or given.facts.to
    everything = sorted(
        given.directory.all_offered_services(), key=lambda offered: offered.organization.id
    )  # stable: an organisation's services stay in the order of its record
    candidates = [
        candidate(offered, given, policy, may_override=placed_with is not None)
        for offered in everything
        if (offered.organization.id == named if named else is_found(offered, given))
    ]
    return ranked(candidates, given, policy)


def is_found(offered: OfferedService, given: Circumstances) -> bool:
    return offered.needs.cover(given.principal_need) and area_served(offered, given) is None


def candidate(
    offered: OfferedService, given: Circumstances, policy: RoutingPolicy, *, may_override: bool
) -> Candidate:
    failures = rules.failures(offered, given)
    made = Candidate(
        organization=offered.organization.id,
        service=offered.service.id,
        capacity=offered.capacity.status,
        revision=offered.revision,
        failures=failures,
    )
    override = rules.COORDINATOR_MAY_OVERRIDE if may_override else frozenset()
    if any(failure.rule not in override for failure in failures):
        return made
    values, weights = contributions(offered, given), policy.weights.by_name()
    total = weighted = 0.0
    for name, weight in weights.items():
        total, weighted = total + weight, weighted + weight * values[name]
    return replace(made, contributions=values, score=round(weighted / total, 6) if total else 0.0)


def contributions(offered: OfferedService, given: Circumstances) -> dict[str, float]:
    facts, seen = given.facts, given.observed(offered.organization.id)
    load, maximum = seen.at(offered.service.id).load, offered.capacity.maximum
    covered = [offered.organization_needs.cover(need) for need in facts.needs]
    shared = [language in offered.languages for language in facts.languages]
    responsiveness = 0.5
    if seen.judged:
        held = seen.answered - seen.returned
        mean = seen.answer_seconds / held if held else float("inf")
        prompt = held * min(1.0, 3600.0 / max(mean, 1.0))
        responsiveness = 0.5 * (seen.answered + prompt) / seen.judged
    age = max(0.0, (given.now - offered.capacity.updated_at).total_seconds() / 86400)
    values = {
        "needs_covered": sum(covered) / len(covered),
        "nearness": 1.0 if facts.region in offered.areas else 0.5,
        "language": 1.0 if shared[0] else 0.7 if any(shared) else 0.4,
        "responsiveness": responsiveness,
        "load": 50.0 / (50.0 + load)
        if maximum is None
        else max(0.0, 1.0 - load / maximum)
        if maximum
        else 0.0,
        "freshness": 0.5 ** (age / 90.0),
        "cost": COST[offered.service.cost],
    }
    return {name: round(value, 6) for name, value in values.items()}


def ranked(
    candidates: Iterable[Candidate], given: Circumstances, policy: RoutingPolicy
) -> tuple[tuple[Candidate, ...], FairTurn | None]:
    fairness = policy.fairness

    def tie(one: Candidate) -> bytes:
        return hashlib.sha256(f"{given.referral_id} {one.organization}".encode()).digest()

    def level(one: Candidate) -> tuple[int, int]:
        return len(one.failures), ORDER_OF_CAPACITY[one.capacity]

    def turn_of(one: Candidate) -> tuple[dt.datetime, float, bytes]:
        asked = given.observed(one.organization).last_asked or LONG_AGO
        return asked, -(one.score or 0.0), tie(one)

    candidates = list(candidates)
    others = [one for one in candidates if one.score is None]
    eligible = sorted(
        (one for one in candidates if one.score is not None),
        key=lambda one: (level(one), -(one.score or 0.0), tie(one), one.service),
    )
    if not eligible:
        return tuple(others), None
    names = list(dict.fromkeys(one.organization for one in eligible))
    best = [next(one for one in eligible if one.organization == name) for name in names]
    second = [one for one in eligible if one not in best]
    top = best[0].score or 0.0
    peers = [one for one in best if level(one) == level(best[0])]
    explores = given.facts.urgency is not Urgency.emergency
    weights = policy.weights.by_name()
    total = sum(weights.values())
    benefit = 0.0
    if explores and fairness.few and total and given.unknown_may_be_equal:
        benefit = round(weights["responsiveness"] * 0.5 / total, 6)

    def is_unknown(name: str) -> bool:
        seen = given.observed(name)
        has_offers = any(load.pending for load in seen.services.values())
        return given.unknown_may_be_equal and seen.judged == 0 and not has_offers

    def is_equal(one: Candidate) -> bool:
        doubt = benefit if is_unknown(one.organization) else 0.0
        return round(top - (one.score or 0.0) - doubt, 6) <= fairness.band

    band = [one for one in peers if is_equal(one)]
    order = sorted(band, key=turn_of) + [one for one in best if one not in band]
    attempt, draw, explored = len(given.asked), None, None
    if explores:
        draw = draw_of(given.referral_id, attempt)
        untried = [
            one
            for one in peers
            if one != order[0] and (one not in band or given.observed(one.organization).judged < fairness.few)
        ]
        if draw < fairness.explore and untried:
            explored = min(untried, key=turn_of)
            order = [explored, *(one for one in order if one != explored)]
    equals = {one.organization for one in band}
    turn = FairTurn(
        band=fairness.band,
        explore=fairness.explore,
        few=fairness.few,
        benefit=benefit,
        attempt=attempt,
        draw=draw,
        equals=len(equals),
        explored=explored.organization if explored else None,
        organizations={
            name: Contender(
                last_asked=given.observed(name).last_asked,
                judged=given.observed(name).judged,
                unknown=is_unknown(name),
                equal=name in equals,
            )
            for name in names
        },
    )
    ranks = [replace(one, rank=number) for number, one in enumerate(order, start=1)]
    return (*ranks, *second, *others), turn
