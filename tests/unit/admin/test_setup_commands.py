"""The commands `kopuro admin migrate`, `load` and `rotate`, on real databases."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import insert, select

from admin import key_rotation
from admin.database_roles import script
from admin.environment_files import read_environment
from kopuro_client.commands import ExitCode, main
from runtime.storage.database import Database, sqlite_url
from services.vault.adapters.tables import SEALED_CASES
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


def test_migrate_refuses_a_database_of_a_newer_build(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin(hub, "migrate", "vault") == ExitCode.OK
    database = Database.open(read_environment(hub / "env" / "vault.env")["KOPURO_DATABASE_URL"])
    with database.write() as transaction:
        transaction.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffff00000000'")
    database.close()
    assert admin(hub, "migrate", "vault") == ExitCode.REFUSED
    assert "which this build does not know" in capsys.readouterr().err
    assert admin(hub, "migrate", "vault", "--status") == 1


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


def test_token_key_is_replaced_and_the_earlier_file_stays(hub: Path) -> None:
    assert main(["admin", "rotate", "token", str(hub)]) == ExitCode.OK
    named = read_environment(hub / "env" / "directory.env")["KOPURO_TOKEN_SIGNING_KEY"]
    assert named == str(hub / "token-2.json")
    assert (hub / "token.json").is_file()
    assert main(["admin", "rotate", "token", str(hub)]) == ExitCode.OK
    assert read_environment(hub / "env" / "directory.env")["KOPURO_TOKEN_SIGNING_KEY"].endswith(
        "token-3.json"
    )


def test_interrupted_rotation_continues_with_its_key(hub: Path) -> None:
    assert main(["admin", "rotate", "token", str(hub)]) == ExitCode.OK
    environment = hub / "env" / "directory.env"
    environment.write_text(environment.read_text().replace("token-2.json", "token.json"))
    kept = (hub / "token-2.json").read_bytes()
    assert main(["admin", "rotate", "token", str(hub)]) == ExitCode.OK
    assert (hub / "token-2.json").read_bytes() == kept
    assert not (hub / "token-3.json").exists()


def test_custody_key_is_not_replaced_while_a_case_is_sealed_to_it(
    hub: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert admin(hub, "migrate", "--all") == ExitCode.OK
    before = (hub / "discovery.json").read_text()
    url = sqlite_url(hub.parent / "vault.sqlite")
    database = Database.open(url)
    with database.write() as transaction:
        row = {"referral_id": "r", "wrapped_key": "w", "ciphertext": "c"}
        transaction.execute(insert(SEALED_CASES).values(row))
    assert main(["admin", "rotate", "custody", str(hub)]) == ExitCode.REFUSED
    assert (
        "vault still has what is sealed to the present custody key (1 in sealed_cases)"
        in capsys.readouterr().err
    )
    with database.write() as transaction:
        transaction.execute(SEALED_CASES.delete())
        assert transaction.execute(select(SEALED_CASES)).first() is None
    database.close()
    # The broker's queues count too: without the broker nothing is replaced.
    assert main(["admin", "rotate", "custody", str(hub)]) == ExitCode.USAGE
    assert (hub / "discovery.json").read_text() == before
    monkeypatch.setattr(key_rotation, "queue_counts", lambda _, queues: {queues[0]: 2})
    assert main(["admin", "rotate", "custody", str(hub)]) == ExitCode.REFUSED
    monkeypatch.setattr(key_rotation, "queue_counts", lambda _, queues: dict.fromkeys(queues, 0))
    assert main(["admin", "rotate", "custody", str(hub)]) == ExitCode.OK
    announced = json.loads((hub / "discovery.json").read_text())["custody_key"]
    assert announced["kid"] == json.loads((hub / "custody-2.json").read_text())["kid"]
    assert "d" not in announced


def test_rotated_key_lies_beside_the_earlier_one_and_files_keep_their_modes(
    hub: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keys in a folder of their own, and a document that every service reads.
    keys = hub / "keys"
    keys.mkdir()
    (hub / "custody.json").rename(keys / "custody.json")
    environment = hub / "env" / "vault.env"
    environment.write_text(environment.read_text().replace("/hub/custody.json", "/hub/keys/custody.json"))
    environment.chmod(0o640)
    (hub / "discovery.json").chmod(0o644)
    assert admin(hub, "migrate", "--all") == ExitCode.OK
    monkeypatch.setattr(key_rotation, "queue_counts", lambda _, queues: dict.fromkeys(queues, 0))
    capsys.readouterr()

    assert main(["admin", "rotate", "custody", str(hub)]) == ExitCode.OK

    new = keys / "custody-2.json"
    assert read_environment(environment)["KOPURO_CUSTODY_KEY"] == str(new)
    modes = [stat.S_IMODE(file.stat().st_mode) for file in (new, environment, hub / "discovery.json")]
    assert modes == [0o600, 0o640, 0o644]
    assert f"name {new} in LoadCredential=custody-key: of kopuro@vault" in capsys.readouterr().err


def test_log_key_is_never_replaced(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["admin", "rotate", "log", str(hub)]) == ExitCode.REFUSED
    assert "the log's key is part of the log's identity" in capsys.readouterr().err


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
