"""Permissions to change an organisation, and members that a replacement must name."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Refused
from contracts.organization import Organization
from contracts.records import plain
from services.directory import admission
from services.directory.domain.amendment import (
    KEPT_BY_OPERATORS,
    needs_second_person,
    permit_amendment,
    refuse_left_out,
)
from services.directory.domain.entry import Standing
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH_ITSELF,
    new_sealing_key,
    organization,
    organization_record,
    service_record,
)

PRESENT = Standing(revision=3, entry=organization())

KEPT: dict[str, Any] = {
    "kind": "union",
    "country": "KZ",
    "parent": "kg.legal-aid-network",
    "vetting": "suspended",
    "vetted_by": "Ourselves",
    "vetted_on": "2026-02-02",
}


def test_cases_cover_every_field_kept_by_operators() -> None:
    assert set(KEPT) == set(KEPT_BY_OPERATORS)


@pytest.mark.parametrize("field", KEPT_BY_OPERATORS)
def test_organization_cannot_change_fields_kept_by_operators(field: str) -> None:
    with pytest.raises(Refused) as refusal:
        permit_amendment(OSH_ITSELF, PRESENT, organization(**{field: KEPT[field]}, name="New"))
    assert refusal.value.slug == "forbidden"
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}"]


def test_forbidden_fields_are_refused_with_pointers() -> None:
    with pytest.raises(Refused) as refusal:
        permit_amendment(OSH_ITSELF, PRESENT, organization(**KEPT))
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}" for field in KEPT_BY_OPERATORS]


def test_organization_may_change_its_other_fields() -> None:
    permit_amendment(
        OSH_ITSELF,
        PRESENT,
        organization(name="New", description="More", active=False, languages=["uz"], services=[]),
    )


def test_organization_cannot_change_another_record() -> None:
    other = organization("kg.other")
    with pytest.raises(Refused, match="own record"):
        permit_amendment(OSH_ITSELF, Standing(revision=1, entry=other), other)


def test_organization_cannot_create_its_own_record() -> None:
    with pytest.raises(Refused, match="operator"):
        permit_amendment(OSH_ITSELF, None, organization())


def test_operator_may_create_and_change_any_record() -> None:
    permit_amendment(OPERATOR, PRESENT, organization(**KEPT))
    permit_amendment(OPERATOR, None, organization())


def left_out(present: Organization, record: dict[str, Any]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        refuse_left_out(present, admission.organization(record, NOON), frozenset(record))
    assert refusal.value.slug == "invalid-submission"
    return [error.pointer for error in refusal.value.errors]


def test_replacement_without_a_key_or_services_is_refused() -> None:
    present = organization(sealing_key=plain(new_sealing_key()), description="Opposite the bazaar.")
    record = organization_record()
    assert left_out(present, record) == ["/description", "/sealing_key"]
    del record["services"]
    assert left_out(present, record) == ["/description", "/sealing_key", "/services"]


def test_replacement_with_explicitly_cleared_members_is_admitted() -> None:
    present = organization(sealing_key=plain(new_sealing_key()), description="Opposite the bazaar.")
    record = organization_record(sealing_key=None, description="", services=[])
    refuse_left_out(present, admission.organization(record, NOON), frozenset(record))


def test_members_with_their_default_value_may_be_left_out() -> None:
    record = organization_record(name="New")
    refuse_left_out(organization(), admission.organization(record, NOON), frozenset(record))


@pytest.mark.parametrize(
    ("present", "wanted", "needed"),
    [
        (None, organization(vetting="applied"), False),
        (None, organization(vetting="vetted"), True),
        (None, organization(vetting="applied", sealing_key=plain(new_sealing_key())), True),
        (organization(vetting="applied"), organization(vetting="vetted"), True),
        (organization(vetting="suspended"), organization(vetting="vetted"), True),
        (organization(), organization(vetting="suspended"), False),
        (organization(), organization(vetting="left"), False),
        (organization(), organization(name="New", services=[]), False),
        (organization(), organization(kind="union"), True),
        (organization(), organization(country="UZ"), True),
        (organization(), organization(parent="kg.other"), True),
        (organization(vetting="applied"), organization(vetting="applied", kind="union"), True),
        (organization(active=False), organization(), True),
        (organization(vetting="suspended"), organization(vetting="applied"), True),
        (organization(vetting="suspended", kind="union"), organization(vetting="suspended"), True),
        (organization(), organization(active=False), False),
    ],
)
def test_second_person_is_needed_to_vouch_for_an_organization_and_not_to_protect_from_it(
    present: Organization | None, wanted: Organization, needed: bool
) -> None:
    assert needs_second_person(present, wanted, by_operator=False) is needed


def test_operator_needs_a_second_person_to_change_the_services_of_an_organization_in_good_standing() -> None:
    present, elsewhere = organization(), organization(services=[service_record(areas=["RU"])])
    assert needs_second_person(present, elsewhere, by_operator=True)
    assert needs_second_person(present, organization(services=[]), by_operator=True)
    assert not needs_second_person(present, organization(name="New"), by_operator=True)
    applied = organization(vetting="applied")
    assert not needs_second_person(applied, organization(vetting="applied", services=[]), by_operator=True)
    assert not needs_second_person(present, organization(active=False, services=[]), by_operator=True)
