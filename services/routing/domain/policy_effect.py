"""The effect of another policy on a decision: who would have been asked, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.routing.domain.candidates import Candidate
from services.routing.domain.decision import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateEffect:
    """A candidate under both policies. ranks and scores: before and after, None where it may not be asked.

    shares: by contribution, what it adds to the score (value times weight, by the sum of the weights) before
    and after; only those that changed. failures: the rules that exclude it after, but not before. lifted:
    those that exclude it before, but not after.
    """

    organization: str
    service: str
    ranks: tuple[int | None, int | None]
    scores: tuple[float | None, float | None]
    shares: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    lifted: tuple[str, ...] = ()


class Why(StrEnum):
    """Why an organisation is asked first."""

    only_one = "only_one"  # no other organisation may be asked
    best = "best"  # its capacity and score come first
    turn = "turn"  # of equals, it was asked least recently
    turn_by_score = "turn_by_score"  # of equals asked least recently, its score is the highest
    turn_by_lot = "turn_by_lot"  # of those with the same score, the referral's id decided
    chance = "chance"  # out of turn, to let it show that it answers


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """The organisation that a decision asks first.

    equals: how many share the turn. tied: how many of these were asked least recently, at the same moment or
    never. last_asked: RFC 3339.
    """

    organization: str
    why: Why
    equals: int
    tied: int
    last_asked: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyEffect:
    """A decision that would ask others. before, after: the organisations asked, in order.

    trigger: what caused the decision. firsts: whose turn it is under each policy; None if nobody may be
    asked. standings: of every organisation that only one of the two policies asks.
    """

    referral_id: str
    trigger: str
    before: Sequence[str]
    after: Sequence[str]
    firsts: tuple[First | None, First | None]
    standings: Sequence[CandidateEffect]


def effect_of(before: Decision, after: Decision, *, at_once: tuple[int, int]) -> PolicyEffect | None:
    """Return the effect; None if the same organisations are asked in the same order.

    at_once: how many organisations each decision asks.
    """
    asked = [
        tuple(one.organization for one in decision.ranked[:most])
        for decision, most in zip((before, after), at_once, strict=True)
    ]
    if asked[0] == asked[1]:
        return None
    concerned = dict.fromkeys((*asked[0], *asked[1]))
    if set(asked[0]) != set(asked[1]):
        concerned = {name: None for name in concerned if (name in asked[0]) != (name in asked[1])}
    standings = [_standing(name, before, after) for name in concerned]
    return PolicyEffect(
        referral_id=before.referral_id,
        trigger=before.trigger.value,
        before=asked[0],
        after=asked[1],
        firsts=(first_of(before), first_of(after)),
        standings=tuple(standings),
    )


def first_of(decision: Decision) -> First | None:
    """Return who is asked first by a search, and why; None if nobody may be asked or no turn was taken."""
    turn, ranked = decision.turn, decision.ranked
    if turn is None or not ranked:
        return None
    name = ranked[0].organization
    contender = turn.organizations.get(name)
    asked = contender.last_asked if contender is not None else None
    tied = {each for each, one in turn.organizations.items() if one.equal and one.last_asked == asked}
    if turn.explored is not None:
        why = Why.chance
    elif len(ranked) < 2:
        why = Why.only_one
    elif turn.equals < 2:
        why = Why.best
    else:
        others = [one.score or 0.0 for one in ranked if one.organization in tied - {name}]
        why = Why.turn if not others else _between(ranked[0].score or 0.0, others)
    return First(
        organization=name,
        why=why,
        equals=turn.equals,
        tied=len(tied),
        last_asked=None if asked is None else asked.isoformat().replace("+00:00", "Z"),
    )


def _between(score: float, others: Sequence[float]) -> Why:
    return Why.turn_by_score if score > max(others) else Why.turn_by_lot


def _standing(organization: str, before: Decision, after: Decision) -> CandidateEffect:
    best = next(one for one in (*after.ranked, *before.ranked) if one.organization == organization)
    then, now = (_of(decision, best) for decision in (before, after))
    shares = {}
    if then.is_eligible and now.is_eligible:
        old, new = _shares(then, before.weights), _shares(now, after.weights)
        shares = {name: (old[name], new[name]) for name in old if old[name] != new.get(name)}
    excluded, excludes = ([failure.rule for failure in one.failures] for one in (then, now))
    return CandidateEffect(
        organization=organization,
        service=best.service,
        ranks=(_rank(before, organization), _rank(after, organization)),
        scores=(then.score, now.score),
        shares=shares,
        failures=tuple(rule for rule in excludes if rule not in excluded),
        lifted=tuple(rule for rule in excluded if rule not in excludes),
    )


def _of(decision: Decision, wanted: Candidate) -> Candidate:
    # Both decisions are about the same directory, so they considered the same services.
    return next(
        one
        for one in decision.candidates
        if (one.organization, one.service) == (wanted.organization, wanted.service)
    )


def _rank(decision: Decision, organization: str) -> int | None:
    return next((one.rank for one in decision.ranked if one.organization == organization), None)


def _shares(candidate: Candidate, weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values()) or 1.0
    return {name: round(weights[name] * value / total, 6) for name, value in candidate.contributions.items()}
