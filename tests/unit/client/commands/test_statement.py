"""`kopuro organization statement --month`, its file, and `kopuro verify statement`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kopuro_client.commands.exit_codes import ExitCode
from tests.support.proved_month import ProvedMonth, in_week, proved_month
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response
from tests.unit.services.routing.workbench import workbench

ONE = "ru.one"
MONTH = "/routing/v1/statement/month"


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvedMonth]:
    folder = tmp_path_factory.mktemp("month")
    bench = workbench(f"sqlite:///{folder}/routing.sqlite", ONE)
    made = proved_month(bench, folder)
    for number in range(3):
        bench.clock.time = in_week(number)
        made.ask()
    made.end()
    yield made
    made.audit.database.close()
    bench.close()


@pytest.fixture(scope="module")
def made(month: ProvedMonth) -> dict[str, Any]:
    return month.file(ONE)


def _verify(run: Run, month: ProvedMonth, folder: Path, file: dict[str, Any], *options: str) -> Any:
    path = folder / "statement.json"
    path.write_text(json.dumps(file))
    key = ("--log-key", month.audit.key.verifier_key, "--state", str(folder / "state"))
    return run("verify", "statement", str(path), *key, *options)


def test_verdict_says_in_words_what_was_checked_and_what_was_not(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    found = _verify(run, month, tmp_path, made)
    assert found.code == ExitCode.OK
    assert found.out.startswith("Verified: the log kopuro/kg of ")
    assert f"commits to 3 of the 3 offers to {ONE} in 2026-03" in found.out
    assert "the figures are those that were issued" in found.out
    assert "not checked: how often you were considered" in found.err


def test_verdict_as_json_has_the_referrals(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    verdict = _verify(run, month, tmp_path, made, "--json").json()
    assert (verdict["holds"], verdict["organization"], verdict["proved"]) == (True, ONE, 3)
    assert verdict["referrals"] == [one["referral_id"] for one in made["decisions"]]


def test_offers_without_proof_are_named(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    erased = {"decision_id": made["decisions"][0]["decision_id"], "message_id": None, "unproven": "erased"}
    found = _verify(run, month, tmp_path, {**made, "decisions": [erased, made["decisions"][1]]})
    assert found.code == ExitCode.OK
    assert "commits to 1 of the 3 offers" in found.out
    assert "2 offers have no proof: 1 erased, 1 not listed" in found.out


def test_month_names_the_weeks_that_its_figures_count(hub: FakeHub, run: Run, made: dict[str, Any]) -> None:
    figures = {**made["statement"], "weeks": made["statement"]["weeks"][:2], "complete": False}
    hub.script("GET", MONTH, json_response({"statement": figures, "issued": None}))
    ran = run("organization", "statement", "--month", figures["month"])
    assert ran.out.splitlines()[1] == f"weeks counted: {figures['weeks'][0]}, {figures['weeks'][1]}"
    assert "not issued yet" in ran.err


@pytest.mark.parametrize("proofs", [True, False])
def test_figures_of_a_running_month_are_not_verified(
    run: Run,
    month: ProvedMonth,
    made: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proofs: bool,
) -> None:
    figures = {**made["statement"], "weeks": made["statement"]["weeks"][:3], "complete": False, "silent": 3}
    erased = [
        {"decision_id": one["decision_id"], "message_id": one["message_id"], "unproven": "erased"}
        for one in made["decisions"]
    ]
    running = {
        **made,
        "statement": figures,
        "issued": None,
        "decisions": made["decisions"] if proofs else erased,
    }
    clock = SimpleNamespace(UTC=dt.UTC, datetime=SimpleNamespace(now=lambda _zone: in_week(3)))
    monkeypatch.setattr("kopuro_client.commands.verify_statement.dt", clock)
    found = _verify(run, month, tmp_path, running)
    assert found.code == ExitCode.NOT_ISSUED
    assert found.out.startswith("Figures not verified: the hub has not issued them yet.")
    listed = "The listed decisions are in the log" if proofs else "No offer is proved: "
    assert listed in found.out
    assert ("3 offers have no proof: 3 erased" in found.out) is not proofs
    document = _verify(run, month, tmp_path, running, "--json").json()
    assert (document["holds"], document["issued"], document["proved"]) == (False, False, 3 if proofs else 0)


def test_statement_of_a_past_month_that_was_not_issued_is_refused(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    figures = {**made["statement"], "accepted": 3, "answered": 3, "silent": 0}
    found = _verify(run, month, tmp_path, {**made, "issued": None, "statement": figures})
    assert (found.code, found.out.partition(":")[0]) == (ExitCode.NOT_VERIFIED, "Verification failed")
    assert "is over" in found.out


def test_changed_statement_exits_with_its_own_status(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    changed = {**made, "statement": {**made["statement"], "silent": 9}}
    found = _verify(run, month, tmp_path, changed)
    assert (found.code, found.out.partition(":")[0]) == (ExitCode.NOT_VERIFIED, "Verification failed")
    assert _verify(run, month, tmp_path, changed, "--json").json()["failure"] == "content"


def test_other_file_is_a_mistake_on_the_command_line(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    assert _verify(run, month, tmp_path, made["statement"]).code == ExitCode.USAGE


def test_statement_of_a_month_is_printed_as_a_table(hub: FakeHub, run: Run, made: dict[str, Any]) -> None:
    hub.script("GET", MONTH, json_response({"statement": made["statement"], "issued": None}))
    found = run("organization", "statement", "--month", "2026-03")
    rows = [line.split() for line in found.out.splitlines()]
    assert ["asked", "3"] in rows
    assert ["considered", "≥", "3"] in rows
    assert ["passed", "over", "withheld"] in rows
    assert "not issued yet" in found.err
    assert hub.requests_to(MONTH)[0].query == {"month": "2026-03"}


def test_file_has_the_month_its_decisions_and_their_entries(
    hub: FakeHub, run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path
) -> None:
    issued = {"message_id": made["issued"], "issued_at": "2026-04-01T00:00:00Z"}
    hub.script("GET", MONTH, json_response({"statement": made["statement"], "issued": issued}))
    decisions = made["decisions"]
    for page in ({"items": decisions[:1], "next": "x"}, {"items": decisions[1:], "next": None}):
        hub.script("GET", f"{MONTH}/decisions", json_response(page))
    messages = [*dict.fromkeys(one["message_id"] for one in decisions), made["issued"]]
    answer = month.entries(ONE, "partner", *messages)
    hub.script("GET", "/audit/v1/entries", json_response(answer))
    file = tmp_path / "own.json"
    assert run("organization", "statement", "--month", "2026-03", "--output", str(file)).code == ExitCode.OK
    assert json.loads(file.read_text()) == made
    assert hub.requests_to("/audit/v1/entries")[0].query["message"].split(",") == messages
    again = run("organization", "statement", "--output", str(file))
    assert again.code == ExitCode.USAGE, "existing files are not overwritten"


@pytest.mark.parametrize("other", [("--week", "2026-W10"), ("--csv",)])
def test_options_of_a_week_are_refused_with_a_month(run: Run, other: tuple[str, ...]) -> None:
    assert run("organization", "statement", "--month", "2026-03", *other).code == ExitCode.USAGE


@pytest.mark.parametrize("name", [f"{ONE} in 2026-10.\nVerified: every figure", "", "RU.ONE"])
def test_statement_of_an_invalid_organization_id_is_refused(
    run: Run, month: ProvedMonth, made: dict[str, Any], tmp_path: Path, name: str
) -> None:
    forged = {**made, "statement": {**made["statement"], "organization": name}}
    found = _verify(run, month, tmp_path, forged)
    assert found.code == ExitCode.NOT_VERIFIED
    assert found.out.count("\n") == 1
    assert "Verified:" not in found.out
