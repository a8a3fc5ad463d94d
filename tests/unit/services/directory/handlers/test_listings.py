"""Queries of the directory."""

from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.organization import Organization
from services.directory.domain.precondition import ANY_REVISION
from tests.unit.services.directory.samples import OPERATOR, OSH, Directory, organization, service_record

START, START_OF_AREAS = ("", ""), ("", "", "")


def found(directory: Directory, need: str | None = None, region: str | None = None) -> list[str]:
    offered = directory.listings.services(need, region, START, 100)
    return [f"{one.organization}:{one.service.id}" for one in offered]


@pytest.fixture
def filled(directory: Directory) -> Directory:
    directory.entries.enter(
        Organization,
        [
            organization(
                "kg.a",
                services=[
                    service_record(id="wages", needs=["legal.wage_claim"], areas=["RU-MOW", "RU-SPE"]),
                    service_record(id="law", needs=["legal"], areas=["RU"]),
                ],
            ),
            organization("kg.b", kind="union", services=[service_record(id="home")]),
            organization("kz.c", country="KZ", vetting="suspended"),
            organization("kz.d", country="KZ", active=False),
        ],
        by="load",
    )
    return directory


def test_organizations_are_ordered_by_id(filled: Directory) -> None:
    page = filled.listings.organizations({}, "", 3)
    assert [standing.entry.id for standing in page] == ["kg.a", "kg.b", "kz.c"]
    assert [s.entry.id for s in filled.listings.organizations({}, "kz.c", 3)] == ["kz.d"]


def test_organizations_are_filtered_by_kind_and_country(filled: Directory) -> None:
    assert [s.entry.id for s in filled.listings.organizations({"kind": "union"}, "", 9)] == ["kg.b"]
    assert [s.entry.id for s in filled.listings.organizations({"country": "KZ"}, "", 9)] == ["kz.c", "kz.d"]
    assert filled.listings.organizations({"country": "KZ", "kind": "union"}, "", 9) == []


def test_services_of_inactive_or_unvetted_organizations_are_not_listed(filled: Directory) -> None:
    assert found(filled) == ["kg.a:law", "kg.a:wages", "kg.b:home"]


def test_services_are_found_by_need_or_group_and_region_or_country(filled: Directory) -> None:
    assert found(filled, need="legal.wage_claim") == ["kg.a:law", "kg.a:wages", "kg.b:home"]
    assert found(filled, need="legal.work_permit") == ["kg.a:law"]
    assert found(filled, region="RU-MOW") == ["kg.a:law", "kg.a:wages"]
    assert found(filled, region="RU-TOM") == ["kg.a:law"]
    assert found(filled, region="RU") == ["kg.a:law", "kg.a:wages"]
    assert found(filled, need="legal", region="KG") == ["kg.b:home"]


def test_service_pages_continue_after_the_last_item(filled: Directory) -> None:
    page = filled.listings.services(None, None, ("kg.a", "law"), 1)
    assert [(one.organization, one.service.id) for one in page] == [("kg.a", "wages")]


def test_each_area_of_a_service_is_listed(filled: Directory) -> None:
    places = [(o.organization, o.service.id, o.area) for o in filled.listings.areas(START_OF_AREAS, 100)]
    assert places == [
        ("kg.a", "law", "RU"),
        ("kg.a", "wages", "RU-MOW"),
        ("kg.a", "wages", "RU-SPE"),
        ("kg.b", "home", "KG-GO"),
    ]
    (after,) = filled.listings.areas(("kg.a", "wages", "RU-SPE"), 100)
    assert after.organization == "kg.b"


def test_changed_organization_is_reindexed(filled: Directory) -> None:
    filled.entries.put_organization(
        OPERATOR,
        organization("kg.a", services=[service_record(id="new", areas=["KZ"])]),
        precondition=ANY_REVISION,
    )
    assert found(filled) == ["kg.a:new", "kg.b:home"]
    left = organization("kg.b", kind="union", vetting="left")
    filled.entries.put_organization(OPERATOR, left, precondition=ANY_REVISION)
    assert found(filled) == ["kg.a:new"]


def test_unknown_organization_is_not_found(filled: Directory) -> None:
    with pytest.raises(Refused) as refusal:
        filled.listings.organization(OSH)
    assert refusal.value.slug == "not-found"
