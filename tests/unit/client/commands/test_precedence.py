"""An option on the command line wins over every environment variable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import generate_key, public_key, seal
from kopuro_client.tlog.keys import SigningKey
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.commands.samples import REFERRAL
from tests.unit.client.fake_hub import FakeHub, json_response

CASE = {"name": "Айгүл (invented)"}
SHOW = ("referral", "show", REFERRAL["id"])


@pytest.fixture(autouse=True)
def _responses(hub: FakeHub) -> None:
    hub.script("GET", f"/intake/v1/referrals/{REFERRAL['id']}", json_response(REFERRAL))


def acted_as(hub: FakeHub) -> str:
    import base64

    (asked,) = hub.requests_to("/directory/oauth/token")
    return base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()


def other_credentials(tmp_path: Path, name: str) -> Path:
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps({"organizations": {name: {"client_id": name, "client_secret": "t"}}}))
    return file


def test_sealing_key_option_wins_over_credentials_of_the_environment(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    key = generate_key()
    file = tmp_path / "previous-key.json"
    file.write_text(json.dumps(key))
    sealed = seal(CASE, public_key(key))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    assert run("case", "show", "r1").code == 7
    ran = run("case", "show", "r1", "--sealing-key", str(file), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json()["case"] == CASE


def test_sealing_key_option_wins_over_credentials_option_and_its_variable(
    hub: FakeHub, run: Run, tmp_path: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = generate_key()
    file, other = tmp_path / "key.json", tmp_path / "other.json"
    file.write_text(json.dumps(key))
    other.write_text(json.dumps(generate_key()))
    monkeypatch.setenv("KOPURO_SEALING_KEY", str(other))
    sealed = seal(CASE, public_key(key))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    given = ("--as", ORGANIZATION, "--credentials", str(credentials), "--sealing-key", str(file))
    assert run("case", "show", "r1", *given, "--json").json()["case"] == CASE


def test_credentials_option_wins_over_key_of_the_environment(
    hub: FakeHub,
    run: Run,
    tmp_path: Path,
    credentials: Path,
    sealing_key: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(generate_key()))
    monkeypatch.setenv("KOPURO_SEALING_KEY", str(other))
    sealed = seal(CASE, public_key(sealing_key))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    assert run("case", "show", "r1", "--credentials", str(credentials), "--json").json()["case"] == CASE


def test_as_and_credentials_options_win_over_the_environment(
    hub: FakeHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPURO_CLIENT_ID", "kg.environment")
    monkeypatch.setenv("KOPURO_CLIENT_SECRET", "s")
    file = other_credentials(tmp_path, "kg.other")
    assert run(*SHOW, "--as", "kg.other", "--credentials", str(file)).code == 0
    assert acted_as(hub) == "kg.other:t"


def test_as_option_wins_over_client_id_of_the_environment(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOPURO_AS")
    monkeypatch.setenv("KOPURO_CLIENT_ID", "kg.environment")
    monkeypatch.setenv("KOPURO_CLIENT_SECRET", "s")
    assert run(*SHOW, "--as", "coordinator").code == 0
    assert acted_as(hub) == "coordinator:c"


def test_credentials_option_without_as_does_not_fall_back_to_the_environment(
    hub: FakeHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOPURO_AS")
    monkeypatch.setenv("KOPURO_CLIENT_ID", "kg.environment")
    monkeypatch.setenv("KOPURO_CLIENT_SECRET", "s")
    ran = run(*SHOW, "--credentials", str(other_credentials(tmp_path, "kg.other")))
    assert (ran.code, ran.out, hub.received) == (2, "", [])
    assert "--as" in ran.err


def test_discovery_option_wins_over_the_environment(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPURO_DISCOVERY_URL", "http://127.0.0.1:9/")
    assert run(*SHOW, "--discovery", hub.url).code == 0


def test_witness_key_option_wins_over_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPURO_WITNESS_KEY", str(tmp_path / "absent"))
    (tmp_path / "key").write_text(SigningKey.generate("union.example/w").secret_text())
    log_key = str(SigningKey.generate("kopuro/kg").verifier)
    ran = run(
        *("witness", "run", str(tmp_path / "no-log"), "--key", str(tmp_path / "key"), "--once"),
        *("--log-key", log_key, "--state", str(tmp_path / "state")),
    )
    assert ran.code == 2
    assert "absent" not in ran.err
    assert "no-log is not a directory" in ran.err
