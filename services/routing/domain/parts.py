"""Needs in parts: the fewest groups of a referral's needs that one organisation each could take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from services.routing.domain.capacity_rules import WITHDRAWN_TOO_OFTEN, no_place_left
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.evaluation import Evaluation
from services.routing.domain.failure import UNTIL
from services.routing.domain.in_turns import InTurns, at_once
from services.routing.domain.prospects import NO_PROSPECTS, Prospects, prospects_of, sum_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Needs that one organisation could take together, in the referral's order.

    organizations: all that could. Only a part of one need may have none. prospects: of its candidates if it
    has none, or if some are held back: nothing but the sender's withdrawn offers excludes them for a time.
    held_back: these. is_provisional: whether there would be fewer parts with those that are held back.
    """

    needs: tuple[str, ...]
    organizations: frozenset[str]
    prospects: Prospects = NO_PROSPECTS
    held_back: frozenset[str] = frozenset()
    is_provisional: bool = False


def parts_of(given: Circumstances, in_turns: InTurns = at_once) -> tuple[Part, ...]:
    """Return the fewest parts that hold each need once, in the order of their first needs.

    An organisation could take needs together if it could be asked about each of them alone. It receives the
    case of the whole referral, so it needs the agreements and approvals for all needs of that one. Every hard
    rule applies, those about the consent included. A need that nobody could be asked about is a part of its
    own, without organisations. One organisation that could take all needs makes one part.

    If several solutions have the fewest parts, the one with the largest first part wins, then the one whose
    first part has the earlier needs, and so on. The result depends only on the arguments. in_turns: iterates
    over the needs; it may let other work run between two of them.
    """
    needs = tuple(dict.fromkeys(given.facts.needs))
    alone = {need: _alone(given, need) for need in in_turns(needs)}
    parts = _divided(needs, alone)
    if not any(part.held_back for part in parts):
        return parts
    later = {
        need: replace(part, organizations=part.organizations | part.held_back) for need, part in alone.items()
    }
    is_provisional = len(_divided(needs, later)) < len(parts)
    return tuple(replace(part, is_provisional=is_provisional) for part in parts)


def _divided(needs: Sequence[str], alone: Mapping[str, Part]) -> tuple[Part, ...]:
    """Return the fewest parts. alone: the part that each need makes alone."""
    met = tuple(need for need in needs if alone[need].organizations)
    # The needs that each organisation could take, as bits. Only `need_met` reads the other needs of a part,
    # and an organisation that could be asked about each of them meets all.
    takes: dict[str, int] = {}
    for number, need in enumerate(met):
        for organization in alone[need].organizations:
            takes[organization] = takes.get(organization, 0) | 1 << number
    parts = [
        Part(
            needs=_of(block, met),
            organizations=frozenset(one for one, taken in takes.items() if block & taken == block),
            prospects=sum_of([alone[need].prospects for need in _of(block, met)]),
            held_back=frozenset().union(*(alone[need].held_back for need in _of(block, met))),
        )
        for block in _fewest(len(met), _widest(set(takes.values())))
    ]
    parts += [alone[need] for need in needs if need not in met]
    return tuple(sorted(parts, key=lambda part: needs.index(part.needs[0])))


def _widest(blocks: Iterable[int]) -> tuple[int, ...]:
    """Return the blocks that no other one contains."""
    found: list[int] = []
    for block in sorted(blocks, key=int.bit_count, reverse=True):
        if not any(block & wider == block for wider in found):
            found.append(block)
    return tuple(found)


def _fewest(count: int, taken: Sequence[int]) -> tuple[int, ...]:
    """Return the best division of `count` needs into blocks (sets of bits), each within one of `taken`.

    Every single need is taken. There are at most 10 needs, so every block is tried.
    """

    def fits(block: int) -> bool:
        return any(block & one == block for one in taken)

    @cache
    def best(left: int) -> tuple[int, ...]:
        if not left:
            return ()
        if fits(left):
            return (left,)
        first = left & -left
        others = more = left ^ first
        found: list[tuple[int, ...]] = []
        while more:
            more = (more - 1) & others
            if fits(first | more):
                found.append((first | more, *best(others ^ more)))
        return min(found, key=lambda blocks: (len(blocks), [(-one.bit_count(), one) for one in blocks]))

    return best((1 << count) - 1)


def _of(block: int, needs: Sequence[str]) -> tuple[str, ...]:
    return tuple(need for n, need in enumerate(needs) if block >> n & 1)


def _alone(given: Circumstances, need: str) -> Part:
    """Return the part that this need of the referral makes alone.

    `rules.failures` says whom it could be asked of; `Evaluation` says the same of hundreds at once.
    """
    facts = replace(given.facts, needs=(need,))
    part = replace(given, facts=facts, whole_needs=given.whole_needs or given.facts.needs)
    shortlist = (
        given.directory.shortlist_of(facts.to)
        if facts.to is not None
        else given.directory.shortlist_for(need, facts.region)
    )
    evaluation = Evaluation(part, is_searched=facts.to is None)
    failed = evaluation.failures(shortlist)
    # The observations of an organisation are read only if every other obstacle may end with time. Many
    # services share the tuple of their failures.
    may_pass = {
        key
        for key, failures in {id(failures): failures for failures in failed}.items()
        if all(UNTIL in failure.detail for failure in failures)
    }
    possible = [position for position, failures in enumerate(failed) if id(failures) in may_pass]
    seen = [given.observed(shortlist.organizations[position]) for position in possible]
    evaluation.add_observed(shortlist, possible, seen, failed)
    organizations = frozenset(
        shortlist.organizations[position] for position in possible if not failed[position]
    )
    held_back = frozenset(
        shortlist.organizations[position]
        for position, observed in zip(possible, seen, strict=True)
        if failed[position]
        and all(failure.reason == WITHDRAWN_TOO_OFTEN for failure in failed[position])
        and no_place_left(shortlist.services[position], part, observed) is None
    )
    held_back -= organizations
    if organizations and not held_back:
        return Part(needs=(need,), organizations=organizations)
    excluded = [(shortlist.services[position], failed[position]) for position in possible if failed[position]]
    return Part(
        needs=(need,), organizations=organizations, prospects=prospects_of(excluded), held_back=held_back
    )
