"""SQLite's temporary files are in the directory of the database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from admin.read_only_engine import open_read_only
from runtime.storage.database import Database, sqlite_url

ROWS = 20_000
SORTED = text("SELECT b FROM t ORDER BY substr(b, 5), a DESC")


def deleted_files() -> set[Path]:
    """Return the directories of the files without a name that this process has open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        if "/etilqs_" in target:
            found.add(Path(target).parent)
    return found


def places_of_a_large_sort(connection: Connection) -> set[Path]:
    found: set[Path] = set()

    def look() -> int:
        found.update(deleted_files())
        return 0

    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.set_progress_handler(look, 1000)
    connection.execute(SORTED).fetchmany(3)
    return found


def read_write(file: Path) -> set[Path]:
    database = Database.open(sqlite_url(file))
    try:
        with database.read() as connection:
            return places_of_a_large_sort(connection)
    finally:
        database.close()


def read_only(file: Path) -> set[Path]:
    engine = open_read_only(sqlite_url(file))
    try:
        with engine.connect() as connection:
            return places_of_a_large_sort(connection)
    finally:
        engine.dispose()


@pytest.mark.parametrize("opened", [read_write, read_only])
def test_temporary_file_of_a_large_sort_is_beside_the_database(
    tmp_path: Path, opened: Callable[[Path], set[Path]]
) -> None:
    file = tmp_path / "it's ours" / "vault.sqlite"
    elsewhere = tmp_path / "elsewhere"
    for directory in (file.parent, elsewhere):
        directory.mkdir()
    database = Database.open(sqlite_url(file))
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)"))
        rows = [{"a": number, "b": f"{number} {'facts of a person ' * 20}"} for number in range(ROWS)]
        connection.execute(text("INSERT INTO t VALUES (:a, :b)"), rows)
    database.close()
    with Database.open(sqlite_url(elsewhere / "other.sqlite")).read():
        pass  # the process has had another directory
    assert opened(file) == {file.parent}


def test_directory_that_cannot_be_written_is_not_an_error(tmp_path: Path) -> None:
    engine = open_read_only(sqlite_url(tmp_path / "missing" / "vault.sqlite"))
    engine.dispose()
