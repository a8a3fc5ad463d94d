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

    An organisation could take needs together if it could be asked about each of them alone, and about all
    in one part. It receives the case of the whole referral, so it needs the agreements and approvals for
    all needs of that one. Every hard rule applies, those about the consent included. A need that nobody
    could be asked about is a part of its own, without organisations. One organisation that could take all
    needs makes one part.

    Of several solutions with as few parts, the one whose first part is largest is returned, then the one
    whose first part has the earlier needs, and so on. The result depends on the arguments only. in_turns:
    iterates over services; it may let other work run between two of them.
    """
    needs = tuple(dict.fromkeys(given.facts.needs))
    alone = {need: _askable(given, (need,), None, in_turns) for need in needs}
    met = tuple(need for need in needs if alone[need])
    together: dict[int, frozenset[str]] = {1 << n: alone[need] for n, need in enumerate(met)}

    def takers(block: int) -> frozenset[str]:
        if block not in together:
            wanted = _of(block, met)
            among = frozenset.intersection(*(alone[need] for need in wanted))
            together[block] = _askable(given, wanted, among, in_turns) if among else among
        return together[block]

    parts = [Part(needs=_of(block, met), organizations=takers(block)) for block in _fewest(len(met), takers)]
    parts += [Part(needs=(need,), organizations=frozenset()) for need in needs if need not in met]
    return tuple(sorted(parts, key=lambda part: needs.index(part.needs[0])))


def _fewest(count: int, takers: Callable[[int], object]) -> tuple[int, ...]:
    """Return the best division of `count` needs into blocks with takers. A block is a set of bits.

    Every single need has takers. There are at most 10 needs, so every block is tried.
    """

    @cache
    def best(left: int) -> tuple[int, ...]:
        if not left:
            return ()
        first = left & -left
        others = left ^ first
        # One block for all is tried before any smaller one is evaluated.
        if takers(left):
            return (left,)
        found: list[tuple[int, ...]] = []
        more = others
        while more:
            more = (more - 1) & others
            if takers(first | more):
                found.append((first | more, *best(others ^ more)))
        return min(found, key=lambda blocks: (len(blocks), [(-one.bit_count(), one) for one in blocks]))

    return best((1 << count) - 1)


def _of(block: int, needs: Sequence[str]) -> tuple[str, ...]:
    return tuple(need for n, need in enumerate(needs) if block >> n & 1)


def _askable(
    given: Circumstances, needs: tuple[str, ...], among: frozenset[str] | None, in_turns: InTurns
) -> frozenset[str]:
    """Return the organisations that could be asked about a referral with these needs alone.

    among: the only organisations to look at; None looks at all.
    """
    facts = replace(given.facts, needs=needs)
    part = replace(given, facts=facts, whole_needs=given.whole_needs or given.facts.needs)
    services = (
        given.directory.offered_services_of(facts.to)
        if facts.to is not None
        else given.directory.offered_services_for(part.principal_need, facts.region)
    )
    return frozenset(
        offered.organization.id
        for offered in in_turns(services)
        if (among is None or offered.organization.id in among) and not rules.failures(offered, part)
    )
