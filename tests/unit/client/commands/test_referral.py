import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import generate_key, open_sealed, public_key
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.commands.samples import REFERRAL, SUMMARY
from tests.unit.client.fake_hub import FakeHub, json_response, problem

REFERRALS = "/intake/v1/referrals"
ONE = f"{REFERRALS}/{REFERRAL['id']}"
REQUESTED = {"id": "r1", "status": "requested"}
SUBMITTED = {"id": "s1", "status": "submitted"}
CASE = {"name": "Бакыт", "narrative": "Паспорт забрали."}


@pytest.fixture
def referral_file(tmp_path: Path) -> Path:
    file = tmp_path / "referral.json"
    file.write_text(
        json.dumps({"needs": ["protection.confiscated_passport"], "urgency": "urgent", "case": CASE})
    )
    return file


def test_submit_seals_the_case_and_prints_only_the_id(hub: FakeHub, run: Run, referral_file: Path) -> None:
    hub.script("POST", REFERRALS, json_response(REQUESTED, status=202))
    ran = run("referral", "submit", str(referral_file))
    assert (ran.code, ran.out) == (0, "r1\n")
    assert "mailbox" in ran.err
    body = hub.requests_to(REFERRALS)[0].json()
    assert open_sealed(body.pop("case"), hub.custody_key) == CASE
    assert body == {"needs": ["protection.confiscated_passport"], "urgency": "urgent"}


def test_submit_names_the_referral_that_it_continues(hub: FakeHub, run: Run, referral_file: Path) -> None:
    hub.script("POST", REFERRALS, json_response(REQUESTED, status=202))
    assert run("referral", "submit", str(referral_file), "--onward-from", REFERRAL["id"]).code == 0
    assert hub.requests_to(REFERRALS)[0].json()["onward_from"] == REFERRAL["id"]


def test_show_names_both_ends_of_a_chain(hub: FakeHub, run: Run) -> None:
    links = {"onward_from": "r0", "onward": ["r2", "r3"]}
    hub.script("GET", ONE, json_response({**REFERRAL, **links}))
    lines = run("referral", "show", REFERRAL["id"]).out.splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines if "onward" in line] == ["r0", "r2, r3"]


def test_show_names_the_parts_and_the_whole_of_a_split(hub: FakeHub, run: Run) -> None:
    parts = [
        {
            "id": "r2",
            "needs": ["work"],
            "status": "accepted",
            "acceptor": "ru.union",
            "waits_for": ["ru.union"],
        },
        {"id": "r3", "needs": ["legal", "health"], "status": "unplaced", "acceptor": None, "waits_for": []},
    ]
    hub.script("GET", ONE, json_response({**REFERRAL, "status": "split", "part_of": "r0", "parts": parts}))
    words = [line.split() for line in run("referral", "show", REFERRAL["id"]).out.splitlines()]
    assert ["part", "of", "r0"] in words
    assert ["work", "accepted", "ru.union", "r2"] in words
    assert any(line[:3] == ["legal", "health", "unplaced"] and line[-1] == "r3" for line in words)


def test_presealed_case_is_submitted_twice_identically(
    hub: FakeHub, run: Run, referral_file: Path, tmp_path: Path
) -> None:
    hub.script("POST", REFERRALS, json_response(REQUESTED, status=202))
    sealed = tmp_path / "sealed.json"
    sealed.write_text(run("case", "seal", str(referral_file)).out)
    for _ in range(2):
        assert run("referral", "submit", str(sealed), "--idempotency-key", "k1").code == 0
    first, second = hub.requests_to(REFERRALS)
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "k1"


def test_idempotency_key_with_unsealed_case_is_usage_error(
    hub: FakeHub, run: Run, referral_file: Path
) -> None:
    ran = run("referral", "submit", str(referral_file), "--idempotency-key", "k1")
    assert ran.code == 2
    assert "kopuro case seal" in ran.err
    assert hub.requests_to(REFERRALS) == []


PREVIEW = {
    "candidates": "5-19",
    "half_answered_seconds": 5_400,
    "found_nobody": 0.3,
    "more_by_language": {"uz": "1-4"},
    "more_by_region": {"RU-SPE": "5-19"},
    "only_by_kind": {"state_body": "0"},
    "parts": [
        {"needs": ["legal.wage_claim", "work"], "candidates": "1-4"},
        {"needs": ["children"], "candidates": "0"},
    ],
}


def test_preview_prints_counts_and_sends_no_case(hub: FakeHub, run: Run, referral_file: Path) -> None:
    path = f"{REFERRALS}:preview"
    hub.script("POST", path, *[json_response(PREVIEW)] * 2)
    ran = run("referral", "preview", str(referral_file))
    assert ran.code == 0
    words = [line.split() for line in ran.out.splitlines() if line]
    assert [line[-1] for line in words[:3]] == ["5-19", "min", "30%"]
    assert "1 h 30 min" in ran.out
    assert [line[-2:] for line in words if line[-2].startswith("(")] == [
        ["(uz)", "1-4"],
        ["(RU-SPE)", "5-19"],
        ["(state_body)", "0"],
    ]
    assert ["unpaid", "wages,", "work", "and", "training", "1-4"] in words
    assert ["children", "0"] in words
    assert "case" not in hub.requests_to(path)[0].json()
    assert run("referral", "preview", str(referral_file), "--json").json() == PREVIEW


@pytest.mark.parametrize("language", ["ru", "ky"])
def test_preview_in_another_language_has_latin_letters_in_codes_only(
    hub: FakeHub, run: Run, referral_file: Path, language: str
) -> None:
    unknown = {**PREVIEW, "half_answered_seconds": None, "found_nobody": None, "would_split": True}
    hub.script("POST", f"{REFERRALS}:preview", json_response(PREVIEW), json_response(unknown))
    for _ in range(2):
        ran = run("referral", "preview", str(referral_file), "--language", language)
        assert ran.code == 0
        assert re.search("[а-яёөүң]", ran.out)
        changes: list[Any] = [
            PREVIEW[name] for name in ("more_by_language", "more_by_region", "only_by_kind")
        ]
        text = ran.out
        for code in (one for bands in changes for one in bands):
            text = text.replace(f"({code})", "")
        assert re.findall("[A-Za-z]+", text) == []


@pytest.mark.parametrize("would_split", [True, False])
def test_preview_says_whether_the_referral_would_be_split(
    hub: FakeHub, run: Run, referral_file: Path, would_split: bool
) -> None:
    hub.script("POST", f"{REFERRALS}:preview", json_response({**PREVIEW, "would_split": would_split}))
    out = run("referral", "preview", str(referral_file)).out
    assert ("would split the referral into these parts" in out) == would_split


def test_preview_says_what_is_unknown(hub: FakeHub, run: Run, referral_file: Path) -> None:
    unknown = {**PREVIEW, "half_answered_seconds": None, "found_nobody": None, "more_by_language": {}}
    hub.script("POST", f"{REFERRALS}:preview", json_response(unknown))
    out = run("referral", "preview", str(referral_file)).out
    assert out.count("unknown") == 2
    assert "language" not in out


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"case": 7}'])
def test_submit_with_invalid_file_is_usage_error(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content)
    ran = run("referral", "submit", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert run("referral", "submit", str(tmp_path / "absent.json")).code == 2


def test_show_is_plain_text_when_piped(hub: FakeHub, run: Run) -> None:
    hub.script("GET", ONE, json_response(REFERRAL))
    ran = run("referral", "show", REFERRAL["id"])
    assert ran.code == 0
    assert "\x1b" not in ran.out
    lines = ran.out.splitlines()
    assert lines[0] == f"Referral {REFERRAL['id']}"
    assert "status     completed" in lines
    assert "2026-05-01 12:00:00Z  offer.declined          ru.moscow-centre  reason=no_capacity" in lines
    assert not any(line != line.rstrip() for line in lines)
    [declined] = [line for line in lines if line.startswith("1 ")]
    opened, deadline = "2026-05-01 09:00:01Z", "2026-05-02 09:00:01Z"
    offer = REFERRAL["offers"][0]["id"]
    assert declined.split() == f"1 ru.moscow-centre declined {opened} {deadline} no_capacity {offer}".split()


def test_referral_whose_facts_are_withheld_is_shown_and_listed(hub: FakeHub, run: Run) -> None:
    hub.script("GET", ONE, json_response({**REFERRAL, "facts": None}))
    shown = run("referral", "show", REFERRAL["id"])
    assert shown.code == 0
    assert "legal.wage_claim" not in shown.out
    withheld = {**SUMMARY, "urgency": None, "region": None, "needs": None}
    hub.script("GET", REFERRALS, json_response({"items": [withheld], "next": None}))
    listed = run("referral", "list")
    assert listed.code == 0
    assert "None" not in listed.out


def test_show_with_json_prints_the_apis_json(hub: FakeHub, run: Run) -> None:
    hub.script("GET", ONE, json_response({**REFERRAL, "new_member": {"from": "a later version"}}))
    ran = run("referral", "show", REFERRAL["id"], "--json")
    assert ran.json() == {**REFERRAL, "new_member": {"from": "a later version"}}


def test_list_prints_a_page_and_the_next_cursor(hub: FakeHub, run: Run) -> None:
    page = {"items": [SUMMARY, {**SUMMARY, "id": "other"}], "next": "c2"}
    hub.script("GET", REFERRALS, json_response(page))
    ran = run("referral", "list", "--status", "offered", "--limit", "2")
    assert hub.requests_to(REFERRALS)[0].query == {"status": "offered", "limit": "2"}
    heading, first, second = ran.out.splitlines()
    assert heading.split() == ["id", "status", "urgency", "region", "needs", "sender", "acceptor", "updated"]
    assert "legal.wage_claim, shelter" in first
    assert heading.index("status") == first.index("offered") == second.index("offered")
    assert "--after c2" in ran.err
    assert run("referral", "list", "--json").json() == page


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("referral list", REFERRALS),
        ("watch recipients", "/directory/v1/watch/recipients"),
        ("mailbox consumers", "/delivery/v1/mailbox/consumers"),
        ("key history", "/directory/v1/keys"),
    ],
)
def test_empty_list_is_reported_on_stderr(hub: FakeHub, run: Run, command: str, path: str) -> None:
    hub.script("GET", path, json_response({"items": [], "next": None}))
    ran = run(*command.split())
    assert (ran.code, ran.out, ran.err) == (0, "", "no items\n")


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["withdraw", "r1", "--reason", "other", "--yes"], "withdraw", {"reason": "other"}),
        (["progress", "r1"], "progress", {"status": "in_progress"}),
        (["progress", "r1", "on_hold"], "progress", {"status": "on_hold"}),
        (["complete", "r1", "resolved"], "complete", {"outcome": "resolved"}),
        (["revoke-consent", "r1", "--yes"], "consent/revoke", {}),
    ],
)
def test_referral_command_posts_its_body(
    hub: FakeHub, run: Run, arguments: list[str], path: str, body: object
) -> None:
    hub.script("POST", f"{REFERRALS}/r1/{path}", json_response(SUBMITTED, status=202))
    assert run("referral", *arguments).out == "s1\n"
    assert run("referral", *arguments, "--json").json() == SUBMITTED
    assert run("referral", *arguments, "--idempotency-key", "k1").code == 0
    *_, keyed = hub.requests_to(f"{REFERRALS}/r1/{path}")
    assert (keyed.json(), keyed.headers["idempotency-key"]) == (body, "k1")


def test_note_is_sent_to_other_party(hub: FakeHub, run: Run) -> None:
    key = generate_key()
    hub.script("GET", ONE, json_response({**REFERRAL, "sender": ORGANIZATION}))
    hub.script(
        "GET", "/directory/v1/organizations/ru.moscow-union", json_response({"sealing_key": public_key(key)})
    )
    hub.script("POST", f"{ONE}/notes", json_response(SUBMITTED, status=202))
    assert run("referral", "note", REFERRAL["id"], "Звоните после шести.").code == 0
    assert open_sealed(hub.requests_to(f"{ONE}/notes")[0].json()["note"], key) == {
        "text": "Звоните после шести."
    }


def test_note_on_unaccepted_referral_is_usage_error(hub: FakeHub, run: Run) -> None:
    hub.script("GET", ONE, json_response({**REFERRAL, "acceptor": None}))
    ran = run("referral", "note", REFERRAL["id"], "x")
    assert ran.code == 2
    assert "no other party" in ran.err


def test_organization_name_cannot_control_the_terminal(hub: FakeHub, run: Run) -> None:
    evil = "ru.x\x1b]0;owned\x07\u202e[red]"
    hub.script("GET", ONE, json_response({**REFERRAL, "acceptor": evil}))
    for arguments in ([], ["--json"]):
        ran = run("referral", "show", REFERRAL["id"], *arguments)
        assert not set("\x1b\x07\u202e") & set(ran.out)
    assert ran.json()["acceptor"] == evil


def test_refusal_is_printed_on_stderr_with_pointers(hub: FakeHub, run: Run, referral_file: Path) -> None:
    errors = [{"pointer": "/needs/0", "detail": "Unknown code."}]
    hub.script("POST", REFERRALS, problem(422, "invalid-submission", "Not so", detail="One.", errors=errors))
    ran = run("referral", "submit", str(referral_file))
    assert (ran.code, ran.out) == (3, "")
    assert "urn:kopuro:problem:invalid-submission" in ran.err
    assert "/needs/0: Unknown code." in ran.err
    ran = run("referral", "submit", str(referral_file), "--json")
    assert json.loads(ran.err)["errors"] == errors


def test_referral_without_a_case_is_refused_with_its_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "referral.json"
    file.write_text('{"needs": ["legal.wage_claim"]}', encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text(encoding="utf-8")))
    for source, name in ((str(file), str(file)), ("-", "stdin")):
        ran = run("referral", "submit", source)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f'kopuro: {name} has no "case": ')
