"""`kopuro watch`: what it sends, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kopuro_client import generate_key, public_key
from kopuro_client.commands import ExitCode
from kopuro_client.sealing import open_sealed
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

UNION, INSPECTION = "ru.builders-union", "ru.labour-inspection"
KEYS = {name: generate_key() for name in (UNION, INSPECTION)}
EMPLOYER = {
    "name": "Stroy (invented)",
    "kind": "employer",
    "country": "RU",
    "region": "RU-MOW",
    "registration_number": None,
}
REPORT: dict[str, Any] = {
    "id": "r-1",
    "employer": EMPLOYER,
    "practices": ["wages_withheld"],
    "first_month": "2026-01",
    "last_month": "2026-01",
    "recipients": [UNION],
    "reported_at": "2026-03-01T12:00:00Z",
    "expires_at": "2028-02-29T12:00:00Z",
    "retracted_at": None,
}
WATCHED: dict[str, Any] = {
    "id": "w-1",
    "employer": EMPLOYER,
    "practices": ["wages_withheld"],
    "first_month": "2026-01",
    "last_month": "2026-02",
    "reporters": "two_to_four",
    "until": "2028-02",
    "reply": {"text": "Paid in March.", "by": "kg.coordinator", "at": "2026-04-01T12:00:00Z"},
}
RECIPIENTS = [
    {"organization": name, "name": name, "sealing_key": public_key(key)} for name, key in KEYS.items()
]


def report_line(folder: Path, *more: str) -> tuple[str, ...]:
    evidence = folder / "evidence.txt"
    evidence.write_text("Жалобы троих рабочих.")
    line = (
        "watch",
        "report",
        "Stroy",
        "--country",
        "RU",
        "--practice",
        "wages_withheld",
        "--from",
        "2026-01",
    )
    return (*line, "--evidence", str(evidence), *more)


def test_report_seals_the_evidence_to_each_recipient(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", "/directory/v1/watch/recipients", json_response({"items": RECIPIENTS, "next": None}))
    hub.script("POST", "/directory/v1/watch/reports", json_response(REPORT, status=201))
    ran = run(*report_line(tmp_path))
    assert (ran.code, ran.out) == (0, "r-1\n")
    (sent,) = [one for one in hub.requests_to("/directory/v1/watch/reports") if one.method == "POST"]
    body = sent.json()
    assert (body["first_month"], body["last_month"]) == ("2026-01", "2026-01")
    assert "Жалобы" not in json.dumps(body, ensure_ascii=False)
    opened = {
        one["organization"]: open_sealed(one["sealed"], KEYS[one["organization"]]) for one in body["evidence"]
    }
    assert opened == {name: {"text": "Жалобы троих рабочих."} for name in KEYS}


def test_report_to_an_organization_that_has_not_opted_in_is_not_sent(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script("GET", "/directory/v1/watch/recipients", json_response({"items": RECIPIENTS, "next": None}))
    ran = run(*report_line(tmp_path, "--recipient", "kg.osh-police"))
    assert ran.code != ExitCode.OK
    assert "kg.osh-police does not receive watch reports" in ran.err
    assert hub.requests_to("/directory/v1/watch/reports") == []


def test_list_shows_the_number_of_reporters_as_a_class(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/directory/v1/watched", json_response({"items": [WATCHED], "next": None}))
    ran = run("watch", "list", "--country", "RU")
    assert "2026-01 to 2026-02" in ran.out
    assert "two to four" in ran.out
    assert "wages_withheld" not in ran.out
    assert "wages withheld" in ran.out


def test_show_prints_the_reply_with_its_author(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/directory/v1/watched/w-1", json_response(WATCHED))
    ran = run("watch", "show", "w-1")
    assert "entered by kg.coordinator" in ran.out
    assert "Paid in March." in ran.out


def test_opt_out_of_watch_reports_is_confirmed_on_stderr(hub: FakeHub, run: Run) -> None:
    hub.script("PUT", "/directory/v1/watch/opt-in", json_response({"receives": False, "since": None}))
    ran = run("watch", "opt-in", "--out")
    assert (ran.code, ran.err) == (0, "you do not receive watch reports\n")
    (sent,) = hub.requests_to("/directory/v1/watch/opt-in")
    assert sent.json() == {"receives": False}
