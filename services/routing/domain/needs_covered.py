"""Which needs of a referral an organisation's services meet in the person's region.

A candidate is one service that meets the first need. The organisation that accepts gets the whole case, so
its other services may meet the further needs. Nothing here says that the organisation may be asked: that
takes every hard rule.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.responses.coordination import NeedsCovered
from contracts.vocabularies import country_of, sensitive_needs
from services.routing.domain.directory import Directory
from services.routing.domain.offered_service import OfferedService


def needs_covered(
    organizations: Iterable[str], needs: tuple[str, ...], region: str, directory: Directory
) -> tuple[NeedsCovered, ...]:
    """Return the needs that each organisation meets and those that it lacks, in their order.

    organizations: by id; each is listed once, in the given order. Empty for a referral with one need, which
    has nothing to tell apart.
    """
    if len(needs) < 2:
        return ()
    places = frozenset((region, country_of(region)))
    return tuple(_covered(one, needs, places, directory) for one in dict.fromkeys(organizations))


def _covered(
    organization: str, needs: tuple[str, ...], places: frozenset[str], directory: Directory
) -> NeedsCovered:
    near = [
        offered
        for offered in directory.offered_services_of(organization)
        if not places.isdisjoint(offered.areas)
    ]
    met = tuple(need for need in needs if any(_meets(offered, need) for offered in near))
    return NeedsCovered(
        organization=organization, needs=met, lacking=tuple(need for need in needs if need not in met)
    )


def _meets(offered: OfferedService, need: str) -> bool:
    """Return whether the service meets the need, and is approved for it if it is sensitive."""
    return offered.needs.cover(need) and (need not in sensitive_needs() or offered.is_approved_for(need))
