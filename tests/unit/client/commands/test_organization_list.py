"""`kopuro organization list`: organisations, and services by need and region."""

from __future__ import annotations

from typing import Any

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

ORGANIZATIONS = "/directory/v1/organizations"
SERVICES = "/directory/v1/services"


def _service(organization: str, *areas: str) -> dict[str, Any]:
    return {
        "id": "clinic",
        "organization": organization,
        "areas": list(areas),
        "languages": ["ru", "ky"],
        "interpretation": ["uz"],
        "capacity": {"status": "waitlist", "maximum": 5, "updated_at": "2026-05-01T09:00:00Z"},
    }


def test_organizations_are_listed_by_page_with_their_standing(hub: FakeHub, run: Run) -> None:
    items = [
        {"id": "ru.aid", "kind": "ngo", "country": "RU", "vetting": "vetted", "active": True},
        {"id": "ru.away", "kind": "union", "country": "RU", "vetting": "vetted", "active": False},
    ]
    hub.script("GET", ORGANIZATIONS, json_response({"items": items, "next": "c"}))
    ran = run("organization", "list", "--country", "RU", "--limit", "2", "--as", "coordinator")
    assert ran.code == 0
    _, first, second = ran.out.splitlines()
    assert first.split() == ["ru.aid", "non-governmental", "organisation", "Russia", "vetted"]
    assert second.split() == ["ru.away", "trade", "union", "Russia", "vetted,", "not", "active"]
    assert ran.err == "more: --after c\n"
    (request,) = hub.requests_to(ORGANIZATIONS)
    assert request.query == {"country": "RU", "limit": "2"}


def test_services_for_a_need_are_listed_within_80_columns(hub: FakeHub, run: Run) -> None:
    areas = [f"RU-A{number:02}" for number in range(30)]
    page = {"items": [_service("ru.aid", *areas), _service("ru.far", "KZ")], "next": None}
    hub.script("GET", SERVICES, json_response(page))
    ran = run("organization", "list", "--need", "health", "--region", "RU", "--as", "coordinator")
    assert ran.code == 0
    lines = ran.out.splitlines()
    head = "service clinic; has a waiting list; Russian, Kyrgyz, Uzbek (Latin script)"
    assert " ".join(" ".join(lines[:2]).split()) == f"ru.aid, {head}"
    assert [line[:3] for line in lines if not line.startswith("    ")] == ["ru.", "ru."]
    assert " ".join(" ".join(lines[-3:]).split()) == f"ru.far, {head} Kazakhstan"
    assert max(map(len, lines)) <= 80
    assert all(area in ran.out for area in areas)
    assert hub.requests_to(SERVICES)[0].query == {"need": "health", "region": "RU"}


def test_json_is_the_page_of_the_hub(hub: FakeHub, run: Run) -> None:
    page = {"items": [_service("ru.aid", "RU")], "next": "c"}
    hub.script("GET", SERVICES, json_response(page))
    assert run("organization", "list", "--need", "health", "--json").json() == page


def test_filters_of_services_and_of_organizations_exclude_each_other(hub: FakeHub, run: Run) -> None:
    ran = run("organization", "list", "--need", "health", "--kind", "ngo")
    assert (ran.code, hub.requests_to(SERVICES)) == (2, [])
