import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.codes import SuspensionReason
from kopuro_client.commands.organization_words import WORDS
from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.fake_hub import FakeHub, json_response, problem

APPROVED = {"service": "house", "needs": ["health.hiv"], "by": "kg.coordinator", "at": "2026-05-01T09:00:00Z"}
OSH = "/directory/v1/organizations/kg.osh"


def test_organization_show_prints_record_with_revision(hub: FakeHub, run: Run) -> None:
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    assert run("organization", "show", "kg.osh", "--json").json() == {"id": "kg.osh", "revision": 7}


RECORD: dict[str, Any] = {
    "id": "kg.osh",
    "name": "Ош юристтери",
    "kind": "ngo",
    "country": "KG",
    "parent": None,
    "active": True,
    "vetting": "vetted",
    "vetted_by": "kg.network",
    "vetted_on": "2026-03-07",
    "languages": ["ky"],
    "sealing_key": {"kid": "k1"},
    "revision": 7,
    "approved_services": [
        {"service": "house", "needs": ["health.hiv"], "by": "aigul", "at": "2026-03-08T09:00:00Z"}
    ],
    "services": [
        {
            "id": "house",
            "name": "Үй",
            "needs": ["basic_needs.shelter", "health.hiv"],
            "areas": ["KG-O"],
            "languages": ["ky"],
            "interpretation": ["tg"],
            "eligibility": {"sexes": ["female"], "age_bands": [], "special_categories": ["minor"]},
            "capacity": {"status": "waitlist", "maximum": 20, "updated_at": "2026-05-01T08:30:00Z"},
            "always_open": True,
        }
    ],
}
AGREEMENT: dict[str, Any] = {
    "id": "m1",
    "title": "Меморандум",
    "parties": ["kg.osh", "ru.one"],
    "needs": ["health"],
    "effective_from": "2026-01-01",
    "effective_until": None,
}


def scripted(hub: FakeHub, **changes: Any) -> None:
    hub.script("GET", OSH, json_response({**RECORD, **changes}))
    others = [
        {**AGREEMENT, "id": "all", "parties": ["*"], "needs": []},
        {**AGREEMENT, "id": "x", "parties": ["ru.one"]},
    ]
    hub.script(
        "GET", "/directory/v1/agreements", json_response({"items": [AGREEMENT, *others], "next": None})
    )


def test_organization_show_prints_the_record_in_words(hub: FakeHub, run: Run) -> None:
    scripted(hub)
    ran = run("organization", "show", "kg.osh")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "kg.osh",
        "name         Ош юристтери",
        "kind         Non-governmental organisation",
        "country      Kyrgyzstan",
        "standing     vetted since 2026-03-07, examined by kg.network",
        "languages    Kyrgyz",
        "sealing key  yes",
        "revision     7",
        "",
        "Services",
        "- house: Үй; has a waiting list; at most 20 at once; stated",
        "  2026-05-01 08:30:00Z; open at all hours",
        "    helps with: shelter (basic_needs.shelter), HIV care (health.hiv)",
        "    languages: Kyrgyz",
        "    with an interpreter: Tajik",
        "    regions: Osh Region",
        "    conditions: sex: female; special categories: minor",
        "    approved for sensitive needs: HIV care (health.hiv) (by aigul,",
        "      2026-03-08 09:00:00Z)",
        "",
        "Agreements",
        "- m1: Меморандум; health; from 2026-01-01",
        "- all: Меморандум; all needs; from 2026-01-01",
    ]


@pytest.mark.parametrize("language", ["ru", "ky"])
def test_organization_show_in_another_language_has_latin_letters_in_ids_only(
    hub: FakeHub, run: Run, language: str
) -> None:
    scripted(hub, active=False)
    out = run("organization", "show", "kg.osh", "--language", language).out
    for one in ("kg.osh", "kg.network", "house", "aigul", "m1", "all", "basic_needs.shelter", "health.hiv"):
        out = re.sub(rf"\b{re.escape(one)}\b", "", out)
    out = re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\dZ)?", "", out)
    assert re.findall("[A-Za-z]+", out) == []


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_show_says_who_suspended_an_organization_when_and_why(hub: FakeHub, run: Run, language: str) -> None:
    by: dict[str, Any] = {"by": "kg.coordinator", "at": "2026-05-01T09:00:00.5Z", "reason": "data_misused"}
    reason = {"en": "it misused data", "ru": "злоупотребила данными", "ky": "маалыматты кыянат пайдаланган"}
    scripted(hub, vetting="suspended", suspension=by)
    out = run("organization", "show", "kg.osh", "--language", language).out
    assert f"kg.coordinator, 2026-05-01 09:00:00Z: {reason[language]}" in out


def test_every_reason_of_a_suspension_has_words() -> None:
    assert set(SuspensionReason) <= WORDS.keys()


def test_update_to_inactive_warns_and_asks(
    hub: FakeHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "changes.json"
    file.write_text(json.dumps({"active": False}))
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    hub.script("PATCH", OSH, json_response({"id": "kg.osh", "revision": 8}))
    line = ("organization", "update", "kg.osh", str(file))
    without_terminal = run(*line)
    assert (without_terminal.code, hub.requests_to(OSH)) == (2, [])
    assert "it cannot undo this itself" in without_terminal.err
    assert "add --yes" in without_terminal.err
    for answer, sent in (("n", []), ("y", [{"active": False}])):
        stdin = io.StringIO(f"{answer}\n")
        monkeypatch.setattr(stdin, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", stdin)
        ran = run(*line)
        assert "it cannot undo this itself: an operator readmits it" in ran.err
        assert [one.json() for one in hub.requests_to(OSH) if one.method == "PATCH"] == sent
    assert run(*line, "--yes").out == "8\n"


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
    assert run(*line, "--revision", "7", "--yes").out == "8\n"
    assert run(*line, "--revision", "8", "--yes").out == "a-1\n"
    assert run(*line).code == 2
    first, second = hub.requests_to(place)
    assert first.json() == second.json() == {"needs": ["protection.violence", "health.hiv"]}
    assert (first.headers["if-match"], second.headers.get("if-match")) == ('"7"', '"8"')


APPROVAL = f"{OSH}/services/house/approval"
APPROVE = ("organization", "approve-service", "kg.osh", "house", "protection.trafficking", "--revision", "7")
ENGAGEMENTS = "/routing/v1/coordination/organizations/kg.osh/engagements"


def _approved_for(hub: FakeHub, *needs: str, **changes: Any) -> None:
    approved = [{**APPROVED, "needs": list(needs)}] if needs else []
    hub.script("GET", OSH, json_response({**RECORD, "approved_services": approved, **changes}))
    hub.script("GET", ENGAGEMENTS, json_response({"sensitive_offers": {"house": 2, "desk": 4}}))
    hub.script("POST", APPROVAL, json_response({"id": "kg.osh", "revision": 8}))


def test_approve_service_shows_old_new_and_dropped_needs_and_offers_and_asks(
    hub: FakeHub, run: Run, terminal: io.StringIO
) -> None:
    _approved_for(hub, "protection.forced_labour", "protection.trafficking")
    answering(terminal, "n")
    ran = run(*APPROVE)
    assert (ran.code, ran.out, hub.requests_to(APPROVAL)) == (0, "", [])
    assert ran.err.splitlines() == [
        "kg.osh: vetted since 2026-03-07, examined by kg.network",
        "kg.osh, service house: approved now for forced labour, trafficking in persons",
        "approved instead for exactly these needs: trafficking in persons",
        "dropped: no longer asked for forced labour",
        "open offers about sensitive needs: 2; those about a dropped need will be revoked",
        "kopuro: approve the service for these needs? [y/N]: nothing was done",
    ]
    answering(terminal, "y")
    assert run(*APPROVE).out == "8\n"


def test_approve_service_without_a_terminal_shows_the_effects_and_requires_yes(
    hub: FakeHub, run: Run
) -> None:
    _approved_for(hub, "protection.forced_labour")
    ran = run(*APPROVE)
    assert (ran.code, ran.out, hub.requests_to(APPROVAL)) == (2, "", [])
    assert "dropped: no longer asked for forced labour\n" in ran.err
    assert ran.err.index("dropped") < ran.err.index("add --yes")


@pytest.mark.parametrize("changes", [{"vetting": "suspended"}, {"vetting": "applied"}, {"active": False}])
def test_approve_service_says_that_an_excluded_organization_is_asked_about_nothing(
    hub: FakeHub, run: Run, changes: dict[str, Any]
) -> None:
    _approved_for(hub, **changes)
    assert "it gets no offers while it is not a vetted and active member" in run(*APPROVE).err


def test_approve_service_names_the_services_in_place_of_an_unknown_one(hub: FakeHub, run: Run) -> None:
    _approved_for(hub)
    ran = run(*APPROVE[:3], "hose", *APPROVE[4:])
    assert (ran.code, hub.requests_to(APPROVAL)) == (2, [])
    assert ran.err == "kopuro: kg.osh has no service hose; its services: house\n"


def test_first_approval_of_a_service_drops_nothing(hub: FakeHub, run: Run) -> None:
    _approved_for(hub)
    err = run(*APPROVE).err
    assert "kg.osh, service house: not approved now for any sensitive need\n" in err
    assert "approved from then on for exactly these needs: trafficking in persons\n" in err
    assert "dropped" not in err
    assert "gets no offers" not in err
    assert hub.requests_to(ENGAGEMENTS) == []


def test_approval_for_the_same_needs_says_that_nothing_changes(hub: FakeHub, run: Run) -> None:
    _approved_for(hub, "protection.trafficking")
    assert "nothing changes" in run(*APPROVE).err


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "dropped: no longer asked for"), ("ru", "исключается"), ("ky", "алынып салынат")],
)
def test_approvals_show_says_what_an_approval_of_a_service_replaces(
    hub: FakeHub, run: Run, language: str, says: str
) -> None:
    _approved_for(hub, "protection.forced_labour", vetting="suspended")
    change = {"organization": "kg.osh", "service": "house", "needs": ["protection.trafficking"]}
    request = {"id": "a-1", "kind": "service", "state": "requested", "change": change}
    hub.script("GET", "/directory/v1/approvals/a-1", json_response(request))
    ran = run("approvals", "show", "a-1", "--language", language)
    assert ran.json() == request
    assert says in ran.err
    assert len(ran.err.splitlines()) == 6
    assert run("approvals", "show", "a-1", "--json").err == ""


def test_approvals_show_of_a_decided_request_states_no_effects(hub: FakeHub, run: Run) -> None:
    request = {"id": "a-1", "kind": "service", "state": "granted", "change": {}}
    hub.script("GET", "/directory/v1/approvals/a-1", json_response(request))
    ran = run("approvals", "show", "a-1")
    assert (ran.json(), ran.err) == (request, "")


def test_withdraw_approval_prints_the_revision(hub: FakeHub, run: Run) -> None:
    place = f"{OSH}/services/house/approval/withdraw"
    hub.script("POST", place, json_response({"id": "kg.osh", "revision": 9}))
    hub.script("GET", OSH, json_response({"approved_services": [APPROVED]}))
    line = ("organization", "withdraw-approval", "kg.osh", "house", "--reason", "service_changed", "--yes")
    assert run(*line).out == "9\n"
    assert hub.requests_to(place)[0].json() == {"reason": "service_changed"}
    assert run(*line, "--json").json() == {"id": "kg.osh", "revision": 9}


@pytest.mark.parametrize(
    ("offers", "says"),
    [({"house": 2, "desk": 4}, "\n2 open offers"), ({"house": 1}, "\n1 open offer"), ({}, "\n0 open offers")],
)
def test_withdraw_approval_shows_needs_and_open_offers_and_asks(
    hub: FakeHub, run: Run, terminal: io.StringIO, offers: dict[str, int], says: str
) -> None:
    place = f"{OSH}/services/house/approval/withdraw"
    hub.script("GET", OSH, json_response({"approved_services": [APPROVED]}))
    hub.script(
        "GET",
        "/routing/v1/coordination/organizations/kg.osh/engagements",
        json_response({"sensitive_offers": offers}),
    )
    answering(terminal, "n")
    ran = run("organization", "withdraw-approval", "kg.osh", "house", "--reason", "other")
    assert (ran.code, ran.out, hub.requests_to(place)) == (0, "", [])
    assert "kg.osh, service house: no longer asked for HIV care" in ran.err
    assert f"{says} about sensitive needs will be revoked" in ran.err


def test_withdraw_approval_of_a_service_without_one_says_so(hub: FakeHub, run: Run) -> None:
    hub.script("GET", OSH, json_response({"approved_services": [APPROVED]}))
    ran = run("organization", "withdraw-approval", "kg.osh", "desk", "--reason", "other", "--yes")
    assert (ran.code, ran.out) == (3, "")
    assert "the service desk of kg.osh has no approval: nothing was withdrawn" in ran.err
    assert hub.requests_to(f"{OSH}/services/desk/approval/withdraw") == []
