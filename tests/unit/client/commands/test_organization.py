import json
from pathlib import Path

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response, problem

OSH = "/directory/v1/organizations/kg.osh"


def test_organization_show_prints_record_with_revision(hub: FakeHub, run: Run) -> None:
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    assert run("organization", "show", "kg.osh").json() == {"id": "kg.osh", "revision": 7}


def test_organization_update_sends_file_as_merge_patch(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_text(json.dumps({"description": None}))
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    hub.script("PATCH", OSH, json_response({"id": "kg.osh", "revision": 8}))
    assert run("organization", "update", "kg.osh", str(file)).out == "8\n"
    assert hub.requests_to(OSH)[-1].json() == {"description": None}
    assert run("organization", "update", "kg.osh", str(file), "--revision", "3", "--json").json() == {
        "id": "kg.osh",
        "revision": 8,
    }
    assert hub.requests_to(OSH)[-1].headers["if-match"] == '"3"'


def test_organization_update_with_stale_revision_is_refused(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_text("{}")
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    hub.script("PATCH", OSH, problem(412, "precondition-failed", "Changed"))
    assert run("organization", "update", "kg.osh", str(file), "--revision", "3").code == 3


def test_organization_update_without_change_says_unchanged(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_text("{}")
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    hub.script("PATCH", OSH, json_response({"id": "kg.osh", "revision": 7}))
    for options in ((), ("--revision", "3"), ("--revision", "6")):
        ran = run("organization", "update", "kg.osh", str(file), *options)
        assert (ran.code, ran.out) == (0, "7\n")
        assert ran.err == "unchanged; the record already has these values\n"


def test_organization_update_with_change_says_changed(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_text("{}")
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    hub.script("PATCH", OSH, json_response({"id": "kg.osh", "revision": 8}))
    ran = run("organization", "update", "kg.osh", str(file))
    assert (ran.out, ran.err) == ("8\n", "changed; routing uses the new record from now on\n")


def test_organization_update_that_needs_a_second_person_prints_the_request(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "changes.json"
    file.write_text(json.dumps({"vetting": "vetted"}))
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 3}))
    hub.script("PATCH", OSH, json_response({"id": "a-1", "state": "requested"}, status=202))
    assert run("organization", "update", "kg.osh", str(file), "--revision", "3").out == "a-1\n"


def test_approve_service_prints_the_revision_or_the_request(hub: FakeHub, run: Run) -> None:
    place = f"{OSH}/services/house/approval"
    request = {"id": "a-1", "kind": "service", "state": "requested", "requested_by": "kg.coordinator"}
    hub.script(
        "POST", place, json_response({"id": "kg.osh", "revision": 8}), json_response(request, status=202)
    )
    line = ("organization", "approve-service", "kg.osh", "house", "protection.violence", "health.hiv")
    assert run(*line, "--revision", "7").out == "8\n"
    assert run(*line).out == "a-1\n"
    first, second = hub.requests_to(place)
    assert first.json() == second.json() == {"needs": ["protection.violence", "health.hiv"]}
    assert (first.headers["if-match"], second.headers.get("if-match")) == ('"7"', None)


def test_withdraw_approval_prints_the_revision(hub: FakeHub, run: Run) -> None:
    place = f"{OSH}/services/house/approval"
    hub.script("DELETE", place, json_response({"id": "kg.osh", "revision": 9}))
    assert run("organization", "withdraw-approval", "kg.osh", "house").out == "9\n"
    shown = run("organization", "withdraw-approval", "kg.osh", "house", "--json").json()
    assert shown == {"id": "kg.osh", "revision": 9}
