"""Coverage: for each region, need and language, who could help, and how many found no organisation."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product

from contracts.referral import ReferralFacts
from contracts.vocabularies import country_of, need_group, sensitive_needs
from services.routing.domain.in_turns import InTurns, at_once
from services.routing.domain.observation import Observation
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.scoring import FRESHNESS_HALF_LIFE_DAYS

# A statement of capacity is fresh for as long as it keeps half of its weight in the score.
FRESH = dt.timedelta(days=FRESHNESS_HALF_LIFE_DAYS)

# Region or country, need or group, language.
CellKey = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageFilter:
    """Only these cells; None: all. lacking: only cells in which referrals found no organisation."""

    region: str | None = None
    need: str | None = None
    language: str | None = None
    lacking: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """One cell. services: of organisations in good standing, and approved for a sensitive need; fresh: of
    these, with a fresh capacity.

    answered, expired: offers that these organisations answered in time or not, since their first offer.
    unplaced: referrals that wait for a coordinator now. A service for a whole country or group counts in the
    cells of its regions or needs too.
    """

    region: str
    need: str
    language: str
    services: int = 0
    fresh: int = 0
    answered: int = 0
    expired: int = 0
    unplaced: int = 0


@dataclass(slots=True)
class _Cell:
    services: int = 0
    fresh: int = 0
    organizations: set[str] = field(default_factory=set)


def coverage(
    offered: Iterable[OfferedService],
    unplaced: Iterable[ReferralFacts],
    observed: Callable[[str], Observation],
    now: dt.datetime,
    wanted: CoverageFilter,
    in_turns: InTurns = at_once,
) -> list[Coverage]:
    """Return the cells that have a service or an unplaced referral, by region, need and language.

    One service for everything has as many cells as there are, so each cell of each service ends a turn, and
    so do the referrals. The cells are sorted region by region for the same reason.
    """
    services = [one for one in offered if one.organization.in_good_standing]
    missing: Counter[CellKey] = Counter(
        (facts.region, facts.needs[0], language)
        for facts in in_turns(unplaced)
        for language in facts.languages
    )
    within = _Parts(
        {area for one in services for area in one.areas} | {region for region, _, _ in missing}, country_of
    )
    needs = _Parts(
        {need for one in services for need in one.service.needs} | {need for _, need, _ in missing},
        need_group,
    )
    cells: dict[CellKey, _Cell] = defaultdict(_Cell)
    for one in in_turns(services):
        regions = within.covered_by(one.areas)
        met = [need for need in needs.covered_by(one.service.needs) if _may_be_asked(one, need)]
        for key in in_turns(product(regions, met, one.spoken)):
            if not _is_wanted(key, wanted):
                continue
            cell = cells[key]
            cell.services += 1
            cell.fresh += _is_fresh(one, now)
            cell.organizations.add(one.organization.id)
    by_region: dict[str, set[CellKey]] = defaultdict(set)
    for key in in_turns((*cells, *(key for key in missing if _is_wanted(key, wanted)))):
        by_region[key[0]].add(key)
    return [
        _counted(key, cells.get(key, _Cell()), missing[key], observed)
        for region in sorted(by_region)
        for key in in_turns(sorted(by_region[region]))
        if missing[key] or not wanted.lacking
    ]


def _may_be_asked(one: OfferedService, need: str) -> bool:
    """Whether the network lets the service meet the need: a sensitive one takes an approval."""
    return need not in sensitive_needs() or one.is_approved_for(need)


def stale_services(offered: Iterable[OfferedService], now: dt.datetime) -> int:
    """Return how many services of organisations in good standing have no fresh statement of capacity."""
    return sum(one.organization.in_good_standing and not _is_fresh(one, now) for one in offered)


def _is_fresh(one: OfferedService, now: dt.datetime) -> bool:
    return now - one.capacity.updated_at <= FRESH


class _Parts:
    """The codes that occur, by the country or group that holds them."""

    def __init__(self, codes: set[str], whole_of: Callable[[str], str]) -> None:
        self._of: dict[str, set[str]] = defaultdict(set)
        for code in codes:
            self._of[whole_of(code)].add(code)

    def covered_by(self, codes: Iterable[str]) -> set[str]:
        """Return the codes themselves, and every code in those that are a country or a group."""
        found: set[str] = set()
        for code in codes:
            found |= {code} | self._of.get(code, set())
        return found


def _is_wanted(key: CellKey, wanted: CoverageFilter) -> bool:
    region, need, language = key
    return (
        (wanted.region is None or wanted.region in (region, country_of(region)))
        and (wanted.need is None or wanted.need in (need, need_group(need)))
        and (wanted.language is None or wanted.language == language)
    )


def _counted(key: CellKey, cell: _Cell, unplaced: int, observed: Callable[[str], Observation]) -> Coverage:
    region, need, language = key
    seen = [observed(organization) for organization in cell.organizations]
    return Coverage(
        region=region,
        need=need,
        language=language,
        services=cell.services,
        fresh=cell.fresh,
        answered=sum(one.answered for one in seen),
        expired=sum(one.expired for one in seen),
        unplaced=unplaced,
    )
