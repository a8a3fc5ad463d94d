"""`kopuro admin keep-role` on the database of a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from admin.environment_files import write_environment
from admin.operator_name import login_name
from contracts.topology import SERVICES
from kopuro_client.commands import main
from runtime.storage.database import Database, sqlite_url
from services.directory.adapters.tables import MESSAGING
from services.directory.domain.client import Client, Role, client
from tests.support import migrated
from tests.unit.services.directory.samples import Directory

SECRET = "a" * 43


def test_command_leaves_one_role_and_names_what_it_changed(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database.open(sqlite_database)
    migrated.upgrade("services.directory", database)
    directory = Directory(database)
    both = client(client_id="ann", principal="kg.ann", roles=(Role.auditor, Role.operator), secret=SECRET)
    directory.entries.enter(Client, [both], by="an earlier build")
    monkeypatch.setenv("KOPURO_DATABASE_URL", sqlite_database)
    for wrong in (("kg.ann", "king"), ("kg.ann", "coordinator"), ("kg.nobody", "auditor")):
        assert main(["admin", "keep-role", *wrong]) == 2
    capsys.readouterr()
    assert main(["admin", "keep-role", "kg.ann", "auditor"]) == 0
    assert capsys.readouterr().out == "ann: auditor\n"
    assert directory.tokens.issue("ann", SECRET)
    with database.read() as transaction:
        *_, last = transaction.execute(select(MESSAGING.outbox.c.body)).scalars()
    assert f'"by":"{login_name()}"'.encode() in bytes(last)
    database.close()


@pytest.mark.parametrize("option", ["--env", "--data-dir"])
def test_directory_and_hub_are_those_of_the_named_folder(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    database = Database.open(sqlite_database)
    migrated.upgrade("services.directory", database)
    both = client(client_id="ann", principal="uz.ann", roles=(Role.auditor, Role.operator), secret=SECRET)
    Directory(database).entries.enter(Client, [both], by="an earlier build")
    database.close()
    (tmp_path / "data").mkdir()
    for service in SERVICES:
        (tmp_path / "data" / f"{service}.sqlite").touch()
        variables = {"KOPURO_DATABASE_URL": sqlite_database, "KOPURO_HUB": "uz"}
        write_environment(tmp_path / f"{service}.env", variables)
    kept = tmp_path / "data" / "directory.sqlite"
    kept.unlink()
    kept.symlink_to(sqlite_database.removeprefix("sqlite:///"))
    monkeypatch.setenv("KOPURO_DATABASE_URL", "sqlite:////nowhere/of-another-hub.sqlite")
    monkeypatch.setenv("KOPURO_HUB", "kz")
    assert main(["admin", "keep-role", "uz.ann", "auditor", option, str(tmp_path)]) == 0
    url, hub = (sqlite_database, "uz") if option == "--env" else (sqlite_url(kept), "kg")
    changed = Database.open(url)
    with changed.read() as transaction:
        *_, last = transaction.execute(select(MESSAGING.outbox.c.body)).scalars()
    changed.close()
    assert f'"/{hub}/directory"'.encode() in bytes(last)
