"""Who may change what of an organisation, and the revision they must have seen."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Refused
from services.directory.domain.amendment import KEPT_BY_OPERATORS, check_expected, permit_amendment
from services.directory.domain.entry import Standing
from tests.unit.services.directory.samples import OPERATOR, OSH_ITSELF, organization

PRESENT = Standing(revision=3, entry=organization())

KEPT: dict[str, Any] = {
    "kind": "union",
    "country": "KZ",
    "parent": "kg.legal-aid-network",
    "vetting": "suspended",
    "vetted_by": "Ourselves",
    "vetted_on": "2026-02-02",
}


def test_every_field_that_operators_keep_is_tried_here() -> None:
    assert set(KEPT) == set(KEPT_BY_OPERATORS)


@pytest.mark.parametrize("field", KEPT_BY_OPERATORS)
def test_an_organisation_cannot_say_of_itself_what_the_network_says(field: str) -> None:
    with pytest.raises(Refused) as refusal:
        permit_amendment(OSH_ITSELF, PRESENT, organization(**{field: KEPT[field]}, name="New"))
    assert refusal.value.slug == "forbidden"
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}"]


def test_every_forbidden_field_is_pointed_at() -> None:
    with pytest.raises(Refused) as refusal:
        permit_amendment(OSH_ITSELF, PRESENT, organization(**KEPT))
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}" for field in KEPT_BY_OPERATORS]


def test_an_organisation_keeps_the_rest_of_its_record() -> None:
    permit_amendment(
        OSH_ITSELF,
        PRESENT,
        organization(name="New", description="More", active=False, languages=["uz"], services=[]),
    )


def test_an_organisation_changes_nobody_else() -> None:
    other = organization("kg.other")
    with pytest.raises(Refused, match="own record"):
        permit_amendment(OSH_ITSELF, Standing(revision=1, entry=other), other)


def test_an_organisation_cannot_enter_itself() -> None:
    with pytest.raises(Refused, match="operator"):
        permit_amendment(OSH_ITSELF, None, organization())


def test_an_operator_may_change_and_enter_anything() -> None:
    permit_amendment(OPERATOR, PRESENT, organization(**KEPT))
    permit_amendment(OPERATOR, None, organization())


@pytest.mark.parametrize(("present", "expected"), [(PRESENT, 3), (PRESENT, None), (None, 0), (None, None)])
def test_the_revision_that_was_seen_may_be_replaced(
    present: Standing[Any] | None, expected: int | None
) -> None:
    check_expected(present, expected)


@pytest.mark.parametrize(("present", "expected"), [(PRESENT, 2), (PRESENT, 0), (PRESENT, 4), (None, 1)])
def test_a_change_made_from_another_revision_is_a_conflict(
    present: Standing[Any] | None, expected: int
) -> None:
    with pytest.raises(Refused) as refusal:
        check_expected(present, expected)
    assert refusal.value.slug == "conflict"
