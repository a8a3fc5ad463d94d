"""Coverage by region, need and language."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from contracts.codes import CapacityStatus, Vetting
from contracts.organization import ApprovedService, Capacity, Organization
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes
from services.routing.domain.coverage import FRESH, Coverage, CoverageFilter, coverage
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from tests.unit.services.routing.samples import NOW, facts, network, organization, service

SEEN = {"ru.one": Observation(answered=3, expired=1), "ru.two": Observation(answered=1)}


def covered(
    *receivers: Organization, unplaced: tuple[ReferralFacts, ...] = (), **wanted: Any
) -> list[Coverage]:
    return coverage(
        network(*receivers).all_offered_services(),
        unplaced,
        lambda name: SEEN.get(name, NOTHING_OBSERVED),
        NOW,
        CoverageFilter(**wanted),
    )


def cell(found: list[Coverage], region: str, need: str, language: str) -> Coverage:
    (one,) = [one for one in found if (one.region, one.need, one.language) == (region, need, language)]
    return one


def stated(at: dt.datetime) -> Capacity:
    return Capacity(status=CapacityStatus.capacity, updated_at=at)


def test_cell_counts_services_fresh_ones_and_answers() -> None:
    old = service(capacity=stated(NOW - FRESH - dt.timedelta(seconds=1)))
    found = covered(organization("ru.one", service(), service(id="second")), organization("ru.two", old))
    assert cell(found, "RU-MOW", "legal.wage_claim", "ky") == Coverage(
        region="RU-MOW",
        need="legal.wage_claim",
        language="ky",
        services=3,
        fresh=2,
        # Each organisation's offers count once, not once for each service.
        answered=4,
        expired=1,
    )


def test_country_and_group_count_in_their_regions_and_needs() -> None:
    wide = service(areas=("RU",), needs=("legal",), languages=("ru",), interpretation=("uz",))
    waiting = facts(region="RU-TYU", needs=("legal.contract", "work"), languages=("uz", "tg"))
    found = covered(organization("ru.one", wide), unplaced=(waiting,))
    assert cell(found, "RU-TYU", "legal.contract", "uz") == Coverage(
        region="RU-TYU",
        need="legal.contract",
        language="uz",
        services=1,
        fresh=1,
        answered=3,
        expired=1,
        unplaced=1,
    )
    alone = cell(found, "RU-TYU", "legal.contract", "tg")
    assert (alone.services, alone.unplaced) == (0, 1)
    assert cell(found, "RU", "legal", "ru").services == 1


def test_service_without_approval_counts_for_no_sensitive_need() -> None:
    """Nobody may be asked there: a count would hide that help lacks."""
    clinic = service(needs=("health.hiv", "health.primary_care"))
    approved = ApprovedService(service=clinic.id, needs=("health.hiv",), by="kg.coordinator", at=NOW)
    found = covered(
        organization("ru.one", clinic, approved_services=(approved,)),
        organization("ru.two", clinic),
        organization("ru.three", service(needs=("health",))),
    )
    assert cell(found, "RU-MOW", "health.hiv", "ky").services == 1
    assert cell(found, "RU-MOW", "health.primary_care", "ky").services == 3
    alone = covered(organization("ru.two", clinic), unplaced=(facts(needs=("health.hiv",)),))
    waiting = cell(alone, "RU-MOW", "health.hiv", "ky")
    assert (waiting.services, waiting.unplaced) == (0, 1)


def test_organization_out_of_good_standing_counts_in_no_coverage_cell() -> None:
    assert covered(organization("ru.one", vetting=Vetting.suspended)) == []


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 6),
        ({"region": "RU-MOW"}, 2),
        ({"region": "RU"}, 4),
        ({"need": "health"}, 2),
        ({"language": "ky"}, 3),
        ({"lacking": True}, 1),
    ],
)
def test_cells_are_filtered_and_sorted(wanted: dict[str, Any], count: int) -> None:
    receivers = (
        organization("ru.one"),
        organization("ru.two", service(areas=("RU-SPE",))),
        organization("kz.one", service(areas=("KZ-ALA",), needs=("health.primary_care",))),
    )
    found = covered(*receivers, unplaced=(facts(region="RU-SPE"),), **wanted)
    keys = [(one.region, one.need, one.language) for one in found]
    assert len(keys) == count
    assert keys == sorted(keys)


def test_one_service_for_everything_ends_a_turn_at_each_of_its_cells() -> None:
    """Otherwise one organisation's record would hold a process of routing for seconds."""
    wide = service(
        needs=tuple(codes("needs")), areas=("RU-MOW", "RU-SPE", "RU-OMS"), languages=("ky", "ru", "uz")
    )
    turns = 0

    def counted(items: Iterable[Any], /) -> Iterator[Any]:
        nonlocal turns
        for item in items:
            yield item
            turns += 1

    found = coverage(
        network(organization("ru.wide", wide)).all_offered_services(),
        (),
        lambda _: NOTHING_OBSERVED,
        NOW,
        CoverageFilter(),
        counted,
    )
    # The service, its cells, their regions, and the cells of the answer.
    assert turns == 1 + 3 * len(found)


def test_each_unplaced_referral_ends_a_turn() -> None:
    """Thousands of them are read for one answer."""
    waiting = [facts(region="RU-TYU")] * 7
    turns = Counter[str]()

    def counted(items: Iterable[Any], /) -> Iterator[Any]:
        for item in items:
            yield item
            turns[type(item).__name__] += 1

    coverage((), waiting, lambda _: NOTHING_OBSERVED, NOW, CoverageFilter(), counted)
    assert turns["ReferralFacts"] == len(waiting)
