from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.codes import CapacityStatus
from contracts.errors import Refused
from contracts.organization import Organization
from contracts.records import dump
from services.directory.domain.record_size import MOST_RECORD_BYTES, check_size, cost
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
