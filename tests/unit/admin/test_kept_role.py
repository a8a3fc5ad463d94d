"""`kopuro admin keep-role` on the database of a directory."""

from __future__ import annotations

import pytest

from kopuro_client.commands import main
from runtime.storage.database import Database
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
    database.close()
