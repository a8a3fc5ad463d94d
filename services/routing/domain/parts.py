"""Needs in parts: the fewest groups of a referral's needs that one organisation each could take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from services.routing.domain import rules
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.offered_service import OfferedService

Services = Sequence[OfferedService]
InTurns = Callable[[Services], Iterable[OfferedService]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Needs that one organisation could take together, in the referral's order.

    organizations: all that could. Only a part of one need may have none.
    """

    needs: tuple[str, ...]
    organizations: frozenset[str]


def parts_of(given: Circumstances, in_turns: InTurns = iter) -> tuple[Part, ...]:
    """Return the fewest parts that hold each need once, in the order of their first needs.

    An organisation could take needs together if it could be asked about each of them alone. It receives the
    case of the whole referral, so it needs the agreements and approvals for all needs of that one. Every hard
    rule applies, those about the consent included. A need that nobody could be asked about is a part of its
    own, without organisations. One organisation that could take all needs makes one part.

    If several solutions have the fewest parts, the one with the largest first part wins, then the one whose
    first part has the earlier needs, and so on. The result depends only on the arguments. in_turns: iterates
    over services; it may let other work run between two of them.
    """
    needs = tuple(dict.fromkeys(given.facts.needs))
    alone = {need: _askable(given, need, in_turns) for need in needs}
    met = tuple(need for need in needs if alone[need])
    # The needs that each organisation could take, as bits. Only `need_met` reads the other needs of a part,
    # and an organisation that could be asked about each of them meets all.
    takes: dict[str, int] = {}
    for number, need in enumerate(met):
        for organization in alone[need]:
            takes[organization] = takes.get(organization, 0) | 1 << number
    parts = [
        Part(
            needs=_of(block, met),
            organizations=frozenset(one for one, taken in takes.items() if block & taken == block),
        )
        for block in _fewest(len(met), _widest(set(takes.values())))
    ]
    parts += [Part(needs=(need,), organizations=frozenset()) for need in needs if need not in met]
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


def _askable(given: Circumstances, need: str, in_turns: InTurns) -> frozenset[str]:
    """Return the organisations that could be asked about this need of the referral alone."""
    facts = replace(given.facts, needs=(need,))
    part = replace(given, facts=facts, whole_needs=given.whole_needs or given.facts.needs)
    services = (
        given.directory.offered_services_of(facts.to)
        if facts.to is not None
        else given.directory.offered_services_for(need, facts.region)
    )
    return frozenset(
        offered.organization.id for offered in in_turns(services) if not rules.failures(offered, part)
    )
