from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import CapacityStatus
from contracts.errors import Refused
from contracts.organization import Organization
from contracts.records import dump
from contracts.vocabularies import codes
from services.directory.domain.record_size import (
    MOST_PAIRS,
    MOST_RECORD_BYTES,
    check_pairs,
    check_size,
    cost,
)
from tests.unit.services.directory.samples import organization


def of_size(size: int) -> Organization:
    """Return a record of this many bytes."""
    services = organization().services
    missing = size - len(dump(organization()))
    each = len(dump(services[0])) + 1
    ids = [f"{services[0].id}-{number:05}" for number in range(missing // (each + 6))]
    more = [replace(services[0], id=one) for one in ids]
    large = replace(organization(), services=(*services, *more))
    return replace(large, description="x" * (size - len(dump(replace(large, description="")))))


def test_record_has_a_largest_size_and_the_refusal_says_how_large_it_is() -> None:
    check_size(None, of_size(MOST_RECORD_BYTES))
    with pytest.raises(Refused) as refused:
        check_size(organization(), of_size(MOST_RECORD_BYTES + 1))
    assert refused.value.slug == "invalid-submission"
    assert "65,537 bytes" in refused.value.errors[0].detail


def test_record_that_operators_loaded_may_stay_as_large_but_not_grow() -> None:
    loaded = of_size(MOST_RECORD_BYTES + 100)
    check_size(loaded, replace(loaded, name=loaded.name[::-1]))
    check_size(loaded, replace(loaded, active=False))
    full = replace(loaded.services[0].capacity, status=CapacityStatus.no_capacity)
    check_size(
        loaded, replace(loaded, services=(replace(loaded.services[0], capacity=full), *loaded.services[1:]))
    )
    with pytest.raises(Refused):
        check_size(loaded, of_size(MOST_RECORD_BYTES + 165))


def test_change_costs_what_it_stores_and_at_least_four_kib() -> None:
    assert [cost(of_size(size)) for size in (3000, 4096, 4097, MOST_RECORD_BYTES)] == [4, 4, 5, 64]


def wide(number: int, **changes: Any) -> Organization:
    """Return a record with this many services for every need in every region."""
    service = organization().services[0]
    everything = replace(service, needs=tuple(codes("needs")), areas=tuple(codes("regions")))
    services = tuple(replace(everything, id=f"service-{n}") for n in range(number))
    return replace(organization(), services=services, **changes)


def test_one_service_for_everything_is_admitted_and_not_two() -> None:
    """Routing keeps each need and area of a service in an index, and changes it at once."""
    check_pairs(None, wide(1))
    pairs = 2 * len(codes("needs")) * len(codes("regions"))
    assert pairs > MOST_PAIRS
    with pytest.raises(Refused) as refused:
        check_pairs(wide(1), wide(2))
    assert refused.value.slug == "invalid-submission"
    assert [error.pointer for error in refused.value.errors] == ["/services"]
    assert f"{pairs:,} pairs" in refused.value.errors[0].detail


def test_services_that_operators_loaded_may_keep_their_pairs() -> None:
    check_pairs(wide(3), wide(3, active=False))
    check_pairs(wide(3), wide(2))
    with pytest.raises(Refused):
        check_pairs(wide(2), wide(3))
