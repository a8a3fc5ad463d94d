"""The commands `kopuro admin migrate`, `load` and `rotate`, on real databases."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import select

from admin.database_roles import script
from admin.environment_files import read_environment
from kopuro_client.commands import ExitCode, main
from runtime.storage.database import Database
from services.directory.adapters.tables import MESSAGING
from tests.servers import PostgresServer


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A new hub on SQLite, not migrated."""
    addresses = [
        *("--hub", "kg", "--broker", "amqp://127.0.0.1:1/kopuro", "--url", "http://{service}.example"),
        *("--database", f"sqlite:///{tmp_path}/{{service}}.sqlite", "--operator", "aigul"),
    ]
    assert main(["admin", "init", str(tmp_path / "hub"), *addresses]) == ExitCode.OK
    return tmp_path / "hub"


def admin(hub: Path, command: str, *more: str) -> int:
    return main(["admin", command, *more, "--env", str(hub / "env")])


def test_migrate_reports_and_applies_revisions(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin(hub, "migrate", "--status", "--json") == 1
    before = json.loads(capsys.readouterr().out)["items"]
    assert {item["revision"] for item in before} == {None}
    intake = next(item for item in before if item["service"] == "intake")
    first, second = intake["pending"][:2]

    assert admin(hub, "migrate", "intake", "--to", first) == ExitCode.OK
    assert admin(hub, "migrate", "intake", "--to", second) == ExitCode.OK
    assert admin(hub, "migrate", "intake", "--to", first) == ExitCode.REFUSED
    assert "schemas only go forward" in capsys.readouterr().err
    assert admin(hub, "migrate", "intake", "--to", "f00f") == ExitCode.REFUSED

    assert admin(hub, "migrate", "--all") == ExitCode.OK
    assert admin(hub, "migrate", "--all") == ExitCode.OK
    assert "vault: nothing to do" in capsys.readouterr().err
    assert admin(hub, "migrate", "--status") == ExitCode.OK


def test_migrate_names_a_database_file_that_cannot_be_opened(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = hub / "env" / "intake.env"
    text = env.read_text()
    file = hub / "missing" / "intake.sqlite"
    env.write_text(re.sub(r"(?m)^KOPURO_DATABASE_URL=.*$", f"KOPURO_DATABASE_URL=sqlite:///{file}", text))
    assert admin(hub, "migrate", "intake") == ExitCode.USAGE
    said = " ".join(capsys.readouterr().err.split())
    assert f"the database of intake ({file}) cannot be used: unable to open database file" in said


def test_migrate_refuses_a_database_of_a_newer_build(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin(hub, "migrate", "vault") == ExitCode.OK
    database = Database.open(read_environment(hub / "env" / "vault.env")["KOPURO_DATABASE_URL"])
    with database.write() as transaction:
        transaction.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffff00000000'")
    database.close()
    assert admin(hub, "migrate", "vault") == ExitCode.REFUSED
    assert "which this build does not know" in capsys.readouterr().err
    assert admin(hub, "migrate", "vault", "--status") == 1


def test_records_are_loaded_where_the_directory_runs_alone_as_facts_of_its_hub(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert admin(hub, "migrate", "directory") == ExitCode.OK
    for file in (hub / "env").iterdir():
        if file.name != "directory.env":
            file.unlink()
    monkeypatch.setenv("KOPURO_HUB", "kz")
    assert admin(hub, "load", "--credentials", str(hub / "operators.json")) == ExitCode.OK
    database = Database.open(read_environment(hub / "env" / "directory.env")["KOPURO_DATABASE_URL"])
    with database.read() as transaction:
        bodies = list(transaction.execute(select(MESSAGING.outbox.c.body)).scalars())
    database.close()
    assert bodies
    assert all(b'"/kg/directory"' in bytes(body) for body in bodies)


def test_first_operator_is_loaded_once(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin(hub, "migrate", "directory") == ExitCode.OK
    capsys.readouterr()
    operators = str(hub / "operators.json")
    assert admin(hub, "load", "--credentials", operators) == ExitCode.OK
    assert "credentials: 1 read, 1 changed" in capsys.readouterr().out
    assert admin(hub, "load", "--credentials", operators) == ExitCode.OK
    assert "credentials: 1 read, 0 changed" in capsys.readouterr().out
    (hub / "operators.json").write_text('[{"client_id": "x"}]')
    assert admin(hub, "load", "--credentials", operators) == ExitCode.REFUSED
    assert "Nothing was loaded." in capsys.readouterr().err


def test_role_script_lets_each_role_into_its_own_database_only(postgres: PostgresServer) -> None:
    names = {"kopuro_test_one": "first-password", "kopuro_test_two": "second-password"}
    for _ in range(2):
        for statement in script(names).splitlines()[1:]:
            try:
                postgres._execute(statement)
            except (psycopg2.errors.DuplicateObject, psycopg2.errors.DuplicateDatabase):
                continue

    def connect(role: str, database: str) -> None:
        psycopg2.connect(
            host="127.0.0.1", port=postgres.port, user=role, password=names[role], dbname=database
        ).close()

    connect("kopuro_test_one", "kopuro_test_one")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        connect("kopuro_test_one", "kopuro_test_two")
    for name in names:
        postgres._execute(f'DROP DATABASE "{name}"')
        postgres._execute(f'DROP ROLE "{name}"')
