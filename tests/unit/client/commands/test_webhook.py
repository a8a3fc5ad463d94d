import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

WEBHOOKS = "/delivery/v1/webhooks"
ENDPOINT: dict[str, Any] = {
    "id": "e-1",
    "url": "https://cases.example.org/kopuro",
    "types": [],
    "state": "unverified",
    "reason": None,
    "created_at": "2026-03-01T12:00:00Z",
    "failing_since": None,
    "disabled_at": None,
}
SECRET = {"endpoint": ENDPOINT, "secret": "whsec_c2VjcmV0", "public_key": "whpk_a2V5", "previous_until": None}
NOTICE = {
    "message_id": "m-1",
    "type": "kopuro.offer.opened.v1",
    "referral_id": "r-1",
    "state": "waiting",
    "attempts": 2,
    "next_attempt_at": "2026-03-01T12:00:30Z",
    "until": "2026-03-01T16:00:00Z",
}
ATTEMPT = {
    "message_id": "m-1",
    "type": "kopuro.offer.opened.v1",
    "attempt": 2,
    "started_at": "2026-03-01T12:00:05Z",
    "milliseconds": 412,
    "request": {"method": "POST", "url": "https://cases.example.org/kopuro"},
    "response": {"status": 503, "media_type": None, "bytes": 0},
    "fault": None,
    "next_attempt_at": "2026-03-01T12:00:30Z",
}


@pytest.mark.usefixtures("any_umask")
def test_add_writes_secret_to_private_file_and_prints_the_id(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("POST", WEBHOOKS, json_response(SECRET, status=201))
    file = tmp_path / "secret"
    line = ("webhook", "add", str(ENDPOINT["url"]), "--type", "kopuro.offer.opened.v1", "--secret", str(file))
    ran = run(*line)
    assert ran.out == "e-1\n"
    assert file.read_text() == "whsec_c2VjcmV0"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (sent,) = hub.requests_to(WEBHOOKS)
    assert sent.json() == {"url": ENDPOINT["url"], "types": ["kopuro.offer.opened.v1"]}
    # A file that exists is found before the hub makes a secret that nobody would have.
    assert run(*line).code == 2
    assert len(hub.requests_to(WEBHOOKS)) == 1


def test_refused_add_leaves_no_file(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("POST", WEBHOOKS, problem(409, "conflict", "Conflict"))
    file = tmp_path / "secret"
    assert run("webhook", "add", "https://cases.example.org/", "--secret", str(file)).code == 3
    assert not file.exists()


def test_rotate_prints_secret_once_and_says_how_long_the_previous_one_signs(hub: FakeHub, run: Run) -> None:
    rotated = {**SECRET, "previous_until": "2026-03-02T12:00:00Z"}
    hub.script("POST", f"{WEBHOOKS}/e-1/secrets", json_response(rotated, status=201))
    ran = run("webhook", "rotate", "e-1")
    assert ran.out.splitlines() == ["e-1", "whsec_c2VjcmV0"]
    assert "2026-03-02 12:00:00Z" in ran.err


def test_json_with_secret_file_leaves_secret_out_of_stdout(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("POST", f"{WEBHOOKS}/e-1/secrets", json_response(SECRET, status=201))
    ran = run("webhook", "rotate", "e-1", "--secret", str(tmp_path / "secret"), "--json")
    assert "whsec_" not in ran.out
    assert ran.json()["public_key"] == "whpk_a2V5"


def test_change_sends_only_what_was_given(hub: FakeHub, run: Run) -> None:
    hub.script("PATCH", f"{WEBHOOKS}/e-1", *[json_response(ENDPOINT)] * 3)
    run("webhook", "change", "e-1", "--enable")
    run("webhook", "change", "e-1", "--disable", "--all-types")
    run("webhook", "change", "e-1", "--url", "https://b.example.org/")
    assert [request.json() for request in hub.requests_to(f"{WEBHOOKS}/e-1")] == [
        {"enabled": True},
        {"enabled": False, "types": []},
        {"url": "https://b.example.org/"},
    ]


def test_lists_show_endpoints_notices_and_attempts(hub: FakeHub, run: Run) -> None:
    hub.script("GET", WEBHOOKS, json_response({"items": [ENDPOINT], "next": None}))
    assert run("webhook", "list").out.splitlines()[1].split()[:3] == ["e-1", ENDPOINT["url"], "unverified"]
    hub.script("GET", f"{WEBHOOKS}/e-1/notices", json_response({"items": [NOTICE], "next": "n-2"}))
    ran = run("webhook", "notices", "e-1")
    assert ran.out.splitlines()[1].split()[:5] == ["m-1", NOTICE["type"], "r-1", "waiting", "2"]
    assert "--after n-2" in ran.err
    silent = {**ATTEMPT, "response": None, "fault": "timeout"}
    hub.script("GET", f"{WEBHOOKS}/e-1/attempts", json_response({"items": [ATTEMPT, silent], "next": None}))
    lines = run("webhook", "attempts", "e-1").out.splitlines()[1:]
    assert "503" in lines[0]
    assert "timeout" in lines[1]


def test_resend_cancel_test_and_delete_print_the_result(hub: FakeHub, run: Run) -> None:
    hub.script("POST", f"{WEBHOOKS}/e-1/test", json_response(NOTICE, status=202))
    hub.script("POST", f"{WEBHOOKS}/e-1/notices/m-1/resend", json_response(NOTICE, status=202))
    stopped = {**NOTICE, "state": "cancelled", "next_attempt_at": None}
    hub.script("POST", f"{WEBHOOKS}/e-1/notices/m-1/cancel", json_response(stopped))
    hub.script("DELETE", f"{WEBHOOKS}/e-1", Response(status=204))
    assert run("webhook", "test", "e-1").out == "m-1\n"
    assert "waiting" in run("webhook", "resend", "e-1", "m-1").err
    assert "cancelled" in run("webhook", "cancel", "e-1", "m-1").err
    assert "deleted e-1" in run("webhook", "delete", "e-1", "--yes").err
