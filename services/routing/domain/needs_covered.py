"""Which needs of a referral an organisation's services meet in the person's region.

A candidate is one service that meets the first need. The organisation that accepts gets the whole case, so
its other services may meet the further needs. Nothing here says that the organisation may be asked: that
takes every hard rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.responses.coordination import NeedsCovered
from contracts.vocabularies import country_of, need_group, sensitive_needs
from services.routing.domain.directory import Directory
from services.routing.domain.in_turns import InTurns, at_once


def needs_covered(
    organizations: Iterable[str],
    needs: tuple[str, ...],
    region: str,
    directory: Directory,
    in_turns: InTurns = at_once,
) -> tuple[NeedsCovered, ...]:
    """Return the needs that each organisation meets and those that it lacks, in their order.

    organizations: by id; each is listed once, in the given order. Empty for a referral with one need, which
    has nothing to tell apart. in_turns: iterates over the organisations; it may let other work run between
    two of them.
    """
    if len(needs) < 2:
        return ()
    places = frozenset((region, country_of(region)))
    wanted = [(need, need_group(need)) for need in needs]
    return tuple(
        _covered(one, wanted, places, directory) for one in in_turns(tuple(dict.fromkeys(organizations)))
    )


def _covered(
    organization: str, wanted: Sequence[tuple[str, str]], places: frozenset[str], directory: Directory
) -> NeedsCovered:
    met = {
        need
        for offered in directory.offered_services_of(organization)
        if not places.isdisjoint(offered.areas)
        # A code that is not sensitive or approved covers it. A whole group also covers its sensitive needs.
        for need in offered.approved_needs.covered(wanted)
        if need not in sensitive_needs() or offered.is_approved_for(need)
    }
    return NeedsCovered(
        organization=organization,
        needs=tuple([need for need, _ in wanted if need in met]),
        lacking=tuple([need for need, _ in wanted if need not in met]),
    )
