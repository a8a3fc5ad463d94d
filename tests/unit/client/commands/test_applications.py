"""`kopuro organization apply`, `applications`, `vet-application`, `refuse-application`."""

from __future__ import annotations

import io
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kopuro_client.commands import ExitCode
from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

CONTENT: dict[str, Any] = {
    "name": "=cmd()\x1b[2J Aid",
    "kind": "ngo",
    "country": "KG",
    "languages": ["ky"],
    "description": "Advice.",
    "contact": {"name": "A. Invented", "email": "office@talas.example", "telephone": None},
    "website": None,
    "parent": None,
    "proposed_id": "kg.talas-advice",
}
RECORD: dict[str, Any] = {
    "id": "a-1",
    "state": "waiting",
    "submitted_at": "2026-03-01T12:00:00Z",
    "expires_at": "2026-05-30T12:00:00Z",
    "application": CONTENT,
    "salt": "s",
    "approval_id": None,
    "organization": None,
    "decided_by": None,
    "decided_at": None,
    "reason": None,
    "note": None,
}
RECEIPT = {
    "id": "a-1",
    "reference": None,
    "state": "waiting",
    "salt": "s",
    "expires_at": RECORD["expires_at"],
}
STATUS = {
    **{name: RECORD[name] for name in ("id", "submitted_at", "expires_at", "reason", "note", "organization")},
    "state": "waiting",
    "next": None,
}
LINE = (
    "organization",
    "apply",
    "--name",
    "Aid",
    "--language",
    "ky",
    "--contact",
    "A",
    "--email",
    "a@b.example",
)


def test_apply_sends_no_token_and_the_digest_of_the_reference_that_it_prints(hub: FakeHub, run: Run) -> None:
    hub.script("POST", "/directory/v1/applications", json_response(RECEIPT, status=201))
    ran = run(*LINE)
    assert ran.code == ExitCode.OK
    application_id, reference = ran.out.splitlines()
    assert application_id == "a-1"
    assert len(reference) == 43
    (sent,) = hub.requests_to("/directory/v1/applications")
    assert "authorization" not in sent.headers
    assert sent.json() == {
        "name": "Aid",
        "languages": ["ky"],
        "contact": {"name": "A", "email": "a@b.example"},
        "reference_sha256": sha256(reference.encode()).hexdigest(),
    }


@pytest.mark.usefixtures("any_umask")
def test_apply_writes_the_reference_to_a_file_and_options_replace_members_of_the_file(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script("POST", "/directory/v1/applications", json_response(RECEIPT, status=201))
    file, kept = tmp_path / "application.json", tmp_path / "reference.txt"
    file.write_text(
        json.dumps({"name": "Old", "kind": "ngo", "contact": {"name": "A", "email": "x@y.example"}})
    )
    ran = run(
        "organization", "apply", str(file), "--name", "New", "--email", "a@b.example",
        "--reference-file", str(kept), "--json",
    )  # fmt: skip
    reference = kept.read_text().strip()
    assert kept.stat().st_mode & 0o077 == 0
    assert reference not in ran.out
    (sent,) = hub.requests_to("/directory/v1/applications")
    body = sent.json()
    assert body.pop("reference_sha256") == sha256(reference.encode()).hexdigest()
    assert body == {"name": "New", "kind": "ngo", "contact": {"name": "A", "email": "a@b.example"}}


def test_refused_application_leaves_no_file(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    refusal = problem(422, "invalid-submission", "The submission does not follow the contract")
    hub.script("POST", "/directory/v1/applications", refusal)
    kept = tmp_path / "reference.txt"
    assert run(*LINE, "--reference-file", str(kept)).code != ExitCode.OK
    assert not kept.exists()


@pytest.mark.usefixtures("any_umask")
def test_reference_is_in_its_file_before_anything_is_sent_and_serves_again_when_the_answer_is_lost(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    kept = tmp_path / "reference.txt"
    seen: list[str] = []
    is_up = False

    def answer() -> Response:
        seen.append(kept.read_text().strip())
        return Response(status=201, body=json.dumps(RECEIPT).encode(), cut=not is_up)

    hub.script("POST", "/directory/v1/applications", answer)
    lost = run(*LINE, "--reference-file", str(kept))
    assert lost.code == ExitCode.CANNOT_CONNECT
    assert "the hub may have the application" in lost.err
    assert kept.stat().st_mode & 0o077 == 0
    is_up = True
    again = run(*LINE, "--reference-file", str(kept))
    assert (again.code, again.out) == (ExitCode.OK, "a-1\n")
    assert set(seen) == {kept.read_text().strip()}
    digests = {one.json()["reference_sha256"] for one in hub.requests_to("/directory/v1/applications")}
    assert digests == {sha256(seen[0].encode()).hexdigest()}


@pytest.mark.parametrize("as_json", [False, True])
def test_reference_without_a_file_is_printed_although_the_answer_is_lost(
    hub: FakeHub, run: Run, as_json: bool
) -> None:
    hub.script("POST", "/directory/v1/applications", Response(status=201, body=b"{}", cut=True))
    lost = run(*LINE, *(["--json"] if as_json else []))
    assert lost.code == ExitCode.CANNOT_CONNECT
    sent = hub.requests_to("/directory/v1/applications")[0]
    printed = re.findall(r"[A-Za-z0-9_-]{43}", lost.err)
    assert sent.json()["reference_sha256"] in [sha256(one.encode()).hexdigest() for one in printed]


def test_refused_repetition_keeps_the_reference_and_another_file_is_not_a_reference(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script("POST", "/directory/v1/applications", problem(409, "conflict", "Another application"))
    kept = tmp_path / "reference.txt"
    kept.write_text("A" * 43 + "\n")
    assert run(*LINE, "--reference-file", str(kept)).code == ExitCode.REFUSED
    assert kept.read_text() == "A" * 43 + "\n"
    kept.write_text("my notes\n")
    assert run(*LINE, "--reference-file", str(kept)).code == ExitCode.USAGE
    assert kept.read_text() == "my notes\n"
    assert len(hub.requests_to("/directory/v1/applications")) == 1


@pytest.mark.parametrize(("option", "action"), [("--status", "state"), ("--withdraw", "withdraw")])
def test_state_and_withdrawal_send_the_reference_in_a_header(
    hub: FakeHub, run: Run, tmp_path: Path, option: str, action: str
) -> None:
    method = "GET" if action == "state" else "POST"
    refused = {**STATUS, "state": "refused", "reason": "not_verified", "note": "Call us."}
    hub.script(method, f"/directory/v1/applications/a-1/{action}", json_response(refused))
    kept = tmp_path / "reference.txt"
    kept.write_text("the-reference\n")
    line = ("organization", "apply", option, "a-1", "--reference-file", str(kept))
    assert run(*line).code == (ExitCode.OK if action == "state" else ExitCode.USAGE)
    hub.received.clear()
    ran = run(*line, "--yes")
    assert (ran.code, ran.out) == (ExitCode.OK, "refused\n")
    assert "not_verified" in ran.err
    assert "Call us." in ran.err
    (sent,) = hub.requests_to(f"/directory/v1/applications/a-1/{action}")
    assert sent.headers["kopuro-application-reference"] == "the-reference"
    assert "authorization" not in sent.headers
    assert run("organization", "apply", option, "a-1").code != ExitCode.OK


def test_list_of_applications_controls_no_terminal(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/directory/v1/applications", json_response({"items": [RECORD], "next": None}))
    ran = run("organization", "applications")
    assert "a-1" in ran.out
    assert "\x1b" not in ran.out
    (sent,) = hub.requests_to("/directory/v1/applications")
    assert sent.query == {"state": "waiting"}
    run("organization", "applications", "--state", "all")
    assert hub.requests_to("/directory/v1/applications")[-1].query == {}


def test_vetting_names_the_request_that_another_person_approves(hub: FakeHub, run: Run) -> None:
    asked = {**RECORD, "state": "in_approval", "approval_id": "p-1", "organization": "kg.talas"}
    hub.script("POST", "/directory/v1/applications/a-1/vet", json_response(asked, status=202))
    ran = run("organization", "vet-application", "a-1", "--id", "kg.talas", "--yes")
    assert (ran.code, ran.out) == (ExitCode.OK, "p-1\n")
    (sent,) = hub.requests_to("/directory/v1/applications/a-1/vet")
    assert sent.json() == {"id": "kg.talas", "parent": None, "without_parent": False}
    assert run("organization", "vet-application", "a-1").code != ExitCode.OK


VET = ("organization", "vet-application", "a-1")
PLACE = "/directory/v1/applications/a-1"
PARENT = {"name": "Stewards", "kind": "community_contact", "country": "RU"}


def _applied(hub: FakeHub, **content: Any) -> None:
    hub.script("GET", PLACE, json_response({**RECORD, "application": {**CONTENT, **content}}))
    for unknown in ("kg.talas-advice", "ru.unknown"):
        hub.script("GET", f"/directory/v1/organizations/{unknown}", problem(404, "not-found", "No such one"))
    hub.script("GET", "/directory/v1/organizations/ru.stewards", json_response(PARENT))
    hub.script("GET", "/directory/v1/organizations/kg.taken", json_response({**PARENT, "name": "Other"}))


@pytest.mark.parametrize(
    ("parent", "options", "shown"),
    [
        (
            "ru.stewards",
            (),
            "it becomes a branch of ru.stewards: Stewards (community contact, Russia)",
        ),
        ("ru.stewards", ("--without-parent",), "it is a branch of no organisation"),
        ("ru.unknown", ("--parent", "ru.stewards"), "it becomes a branch of ru.stewards"),
        (None, (), "it is a branch of no organisation"),
    ],
)
def test_vetting_shows_the_place_in_the_network_before_it_asks(
    hub: FakeHub,
    run: Run,
    terminal: io.StringIO,
    parent: str | None,
    options: tuple[str, ...],
    shown: str,
) -> None:
    _applied(hub, parent=parent)
    answering(terminal, "n")
    ran = run(*VET, *options)
    assert ran.code == ExitCode.OK
    assert shown in ran.err
    assert "(non-governmental organisation, Kyrgyzstan) becomes kg.talas-advice" in ran.err
    assert "vet the organisation? [y/N]" in ran.err


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ({"parent": "ru.unknown"}, (), "the directory has no organisation ru.unknown"),
        ({}, ("--parent", "ru.unknown"), "the directory has no organisation ru.unknown"),
        ({"proposed_id": "kg.taken"}, (), "kg.taken is the id of Other"),
        ({}, ("--id", "kg.taken"), "kg.taken is the id of Other"),
        ({"proposed_id": None}, (), "add --id"),
    ],
)
def test_vetting_names_an_id_that_does_not_fit_before_it_asks(
    hub: FakeHub,
    run: Run,
    terminal: io.StringIO,
    content: dict[str, Any],
    options: tuple[str, ...],
    says: str,
) -> None:
    _applied(hub, **content)
    answering(terminal, "y")
    ran = run(*VET, *options)
    assert ran.code == ExitCode.USAGE
    assert says in ran.err
    assert "[y/N]" not in ran.err
    assert hub.requests_to(f"{PLACE}/vet") == []


def test_application_is_shown_for_people_and_as_json(hub: FakeHub, run: Run) -> None:
    _applied(hub, parent="ru.stewards")
    out = run("organization", "applications", "a-1").out
    assert "non-governmental organisation" in out
    assert "office@talas.example" in out
    assert "2026-03-01 12:00:00Z" in out
    assert "salt" not in out
    assert "{" not in out
    assert "\x1b" not in out
    assert run("organization", "applications", "a-1", "--json").json()["salt"] == "s"


def test_refusal_sends_its_reason_and_note(hub: FakeHub, run: Run) -> None:
    ended = {**RECORD, "state": "refused", "reason": "not_genuine", "note": "No."}
    hub.script("POST", "/directory/v1/applications/a-1/refuse", json_response(ended))
    line = ("organization", "refuse-application", "a-1", "--reason", "not_genuine", "--note", "No.", "--yes")
    assert run(*line).code == ExitCode.OK
    (sent,) = hub.requests_to("/directory/v1/applications/a-1/refuse")
    assert sent.json() == {"reason": "not_genuine", "note": "No."}


def test_several_applications_are_refused_at_once(hub: FakeHub, run: Run) -> None:
    ended = {**RECORD, "state": "refused", "reason": "not_genuine", "note": None}
    places = [f"/directory/v1/applications/{one}/refuse" for one in ("a-1", "a-2")]
    for place in places:
        hub.script("POST", place, json_response(ended))
    line = ("organization", "refuse-application", "a-1", "a-2", "--reason", "not_genuine", "--yes")
    assert run(*line).code == ExitCode.OK
    assert [len(hub.requests_to(place)) for place in places] == [1, 1]
    assert len(run(*line, "--json").out.splitlines()) == 2


def test_list_says_how_full_the_queue_is(hub: FakeHub, run: Run) -> None:
    page = {"items": [RECORD], "next": None, "room": {"taken": 37, "most": 200}}
    hub.script("GET", "/directory/v1/applications", json_response(page))
    assert "37 of at most 200 applications" in run("organization", "applications").err


def test_list_of_a_state_that_does_not_exist_names_the_states(hub: FakeHub, run: Run) -> None:
    ran = run("organization", "applications", "--state", "foo", "--as", "coordinator", "--json")
    assert ran.code == ExitCode.USAGE
    assert "waiting, in_approval, vetted, refused, withdrawn, expired or all" in ran.err


@pytest.mark.parametrize(
    ("language", "heading", "row", "reason", "unverified"),
    [
        (
            "ru",
            "id подано состояние название вид страна",
            "отклонена",
            "причина не удалось связаться",
            "этого никто не проверял",
        ),
        (
            "ky",
            "id жөнөтүлдү абалы аталышы түрү өлкө",
            "четке кагылган",
            "себеби байланышууга мүмкүн болгон жок",
            "муну эч ким текшерген эмес",
        ),
    ],
)
def test_applications_are_in_the_chosen_language(
    hub: FakeHub, run: Run, language: str, heading: str, row: str, reason: str, unverified: str
) -> None:
    refused = {**RECORD, "state": "refused", "reason": "not_reachable"}
    hub.script("GET", "/directory/v1/applications", json_response({"items": [refused], "next": None}))
    lines = run("organization", "applications", "--state", "all", "--language", language).out.splitlines()
    assert " ".join(lines[0].split()) == heading
    assert row in lines[1]
    assert "ngo" not in lines[1]
    hub.script("GET", "/directory/v1/applications/a-1", json_response(refused))
    ran = run("organization", "applications", "a-1", "--language", language)
    assert reason in " ".join(ran.out.split())
    assert unverified in " ".join(ran.err.split())
