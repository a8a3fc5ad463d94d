"""`kopuro organization capacity`: one service's capacity in the record, on the revision that was read."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

OSH = "/directory/v1/organizations/kg.osh"


def _service(id_: str) -> dict[str, Any]:
    earlier = {"status": "capacity", "maximum": 5, "updated_at": "2026-01-01T00:00:00Z", "unit": "bed"}
    return {"id": id_, "name": "Aid", "capacity": earlier}


@pytest.mark.parametrize(("options", "maximum"), [((), 5), (("--maximum", "3"), 3)])
def test_capacity_of_one_service_is_changed_on_the_revision_that_was_read(
    hub: FakeHub, run: Run, options: tuple[str, ...], maximum: int
) -> None:
    record = {"id": "kg.osh", "revision": 7, "services": [_service("house"), _service("law")]}
    hub.script("GET", OSH, json_response(record))
    hub.script("PATCH", OSH, json_response({**record, "revision": 8}))
    ran = run("organization", "capacity", "kg.osh", "house", "no_capacity", *options)
    assert (ran.code, ran.out) == (0, "house: no_capacity\n")
    sent = hub.requests_to(OSH)[-1]
    assert sent.headers["if-match"] == '"7"'
    house, law = sent.json()["services"]
    assert law == _service("law")
    stated = house.pop("capacity")
    assert house == {"id": "house", "name": "Aid"}
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(stated.pop("updated_at"))
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=5)
    assert stated == {"status": "no_capacity", "maximum": maximum, "unit": "bed"}


@pytest.mark.parametrize(("service", "status"), [("house", "full"), ("none", "no_capacity")])
def test_unknown_status_or_service_changes_nothing(hub: FakeHub, run: Run, service: str, status: str) -> None:
    record = {"id": "kg.osh", "revision": 7, "services": [_service("house")]}
    hub.script("GET", OSH, json_response(record))
    assert run("organization", "capacity", "kg.osh", service, status).code == 2
    assert "PATCH" not in {request.method for request in hub.requests_to(OSH)}
