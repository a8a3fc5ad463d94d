"""`kopuro routing policy` on routing's database and on files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from admin.operator_name import login_name
from kopuro_client.commands import main
from runtime.storage.database import Database
from tests.support import migrated


@pytest.fixture
def url(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    database = Database.open(sqlite_database)
    migrated.upgrade("services.routing", database)
    database.close()
    monkeypatch.setenv("KOPURO_DATABASE_URL", sqlite_database)
    return sqlite_database


def written(folder: Path, **policy: object) -> str:
    file = folder / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    return str(file)


def test_applied_policy_is_shown_with_its_operator(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["routing", "policy", "show"]) == 2
    assert "no policy yet" in capsys.readouterr().err
    file = written(tmp_path, version="v1", emergency_offers=4)
    assert main(["routing", "policy", "check", file]) == 0
    assert main(["routing", "policy", "apply", file]) == 0
    assert main(["routing", "policy", "apply", file]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "v1 is in force already"
    assert main(["routing", "policy", "show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["emergency_offers"], shown["backlog"]) == ("v1", 4, 900)
    assert main(["routing", "policy", "show", "--all", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["policies"]
    assert (row["number"], row["applied_by"], row["policy"]) == (1, login_name(), shown)
    assert main(["routing", "policy", "show", "--all"]) == 0
    assert re.search(r"v1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", capsys.readouterr().out)
    # The output of `show` can be changed and applied.
    assert main(["routing", "policy", "apply", written(tmp_path, **{**shown, "version": "v2"})]) == 0
    capsys.readouterr()
    assert main(["routing", "policy", "show", "--version", "v1"]) == 0
    assert json.loads(capsys.readouterr().out) == shown


def test_refused_policy_names_every_place_and_changes_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, version="v1", emergency_offers=0, weights={"beauty": 1})
    for command in ("check", "apply"):
        assert main(["routing", "policy", command, file]) == 3
        said = capsys.readouterr().err
        assert "/emergency_offers" in said
        assert "/weights/beauty" in said
    assert main(["routing", "policy", "show"]) == 2
    assert main(["routing", "policy", "check", str(tmp_path / "missing.json")]) == 2


def test_check_refuses_changed_content_under_a_used_version(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["routing", "policy", "apply", written(tmp_path, version="v1", emergency_offers=4)]) == 0
    changed = written(tmp_path, version="v1", emergency_offers=5)
    capsys.readouterr()
    assert main(["routing", "policy", "check", changed]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "Version v1 belongs to another policy already." in told.err
    assert "Give the changed policy another version." in told.err
    # Without a database the command says that it did not compare the version.
    monkeypatch.delenv("KOPURO_DATABASE_URL")
    assert main(["routing", "policy", "check", changed]) == 0
    told = capsys.readouterr()
    assert "v1: the policy can be applied" in told.out
    assert "the policy's version was not compared with those in use" in told.err


def test_show_check_and_apply_take_the_same_databases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hub" / "data"
    folder.mkdir(parents=True)
    for service in ("routing", "directory"):
        database = Database.open(f"sqlite:///{folder / service}.sqlite")
        migrated.upgrade(f"services.{service}", database)
        database.close()
    hub = ["--data-dir", str(tmp_path / "hub")]
    file = written(tmp_path, version="v1")
    monkeypatch.setenv("KOPURO_DATABASE_URL", "sqlite:////nowhere/of-another-hub.sqlite")
    for command in (["check", file], ["apply", file], ["show"]):
        assert main(["routing", "policy", *command, *hub]) == 0, capsys.readouterr().err
        assert main(["routing", "policy", *command, *hub, "--database", "sqlite:///x"]) == 2
    monkeypatch.delenv("KOPURO_DATABASE_URL")
    assert main(["routing", "policy", "show"]) == 2
