"""Databases that share SQLAlchemy's dialect and its compiled statements."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Select, Table, column, create_engine, event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.compiler import SQLCompiler

from admin.read_only_engine import open_read_only
from runtime.storage.database import Database, sqlite_url
from tests.support.shared_dialects import SharedDialects

PLACES = Table("places", MetaData())
NAMES: Select[Any] = select(column("name")).select_from(PLACES)


@contextmanager
def opened(url: str, *names: str) -> Iterator[Database]:
    database = Database.open(url)
    with database.write() as transaction:
        transaction.exec_driver_sql("CREATE TABLE places (name TEXT NOT NULL)")
        for name in names:
            transaction.exec_driver_sql(f"INSERT INTO places VALUES ('{name}')")  # noqa: S608
    yield database
    database.close()


def names(database: Database) -> list[str]:
    with database.read() as transaction:
        return list(transaction.execute(NAMES).scalars())


@pytest.fixture
def urls(tmp_path: Path) -> list[str]:
    return [sqlite_url(tmp_path / f"{name}.sqlite") for name in ("first", "second", "third")]


def test_statement_is_compiled_once_and_reads_the_database_that_executes_it(
    urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, here = 0, threading.current_thread()
    own = SQLCompiler.visit_select

    def counted(*arguments: object, **options: object) -> object:
        nonlocal compiled
        # A worker of the tests has other threads with databases.
        compiled += threading.current_thread() is here
        return own(*arguments, **options)  # type: ignore[arg-type,no-untyped-call]

    monkeypatch.setattr(SQLCompiler, "visit_select", counted)
    with SharedDialects().in_use(), opened(urls[0], "Osh") as first:
        assert names(first) == ["Osh"]
        compiled = 0
        with opened(urls[1], "Batken") as second, opened(urls[2], "Talas") as third:
            assert (names(second), names(third), names(first)) == (["Batken"], ["Talas"], ["Osh"])
    # Without sharing, twice. Not at all if the databases of this process share a dialect already.
    assert compiled <= 1


@pytest.mark.usefixtures("any_umask")
def test_each_database_still_connects_to_its_own_private_file(urls: list[str], tmp_path: Path) -> None:
    with (
        SharedDialects().in_use(),
        opened(urls[0], "Osh"),
        opened(urls[1], "Batken") as second,
        opened(urls[2]),
    ):
        assert names(second) == ["Batken"]
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*.sqlite")}
    assert modes == {"first.sqlite": 0o600, "second.sqlite": 0o600, "third.sqlite": 0o600}


def test_events_of_one_database_are_not_those_of_another(urls: list[str]) -> None:
    with SharedDialects().in_use(), opened(urls[0]), opened(urls[1]) as second, opened(urls[2]) as third:
        seen: list[str] = []
        event.listen(
            second.engine, "after_cursor_execute", lambda _c, _u, statement, *_: seen.append(statement)
        )
        assert (names(third), seen) == ([], [])
        assert (names(second), len(seen)) == ([], 1)


def test_databases_opened_to_read_share_a_dialect_of_their_own(urls: list[str]) -> None:
    with SharedDialects().in_use(), opened(urls[0], "Osh") as first, opened(urls[1], "Batken"):
        found, dialects = [], set()
        for url in (urls[0], urls[1], urls[0]):
            engine = open_read_only(url)
            with engine.connect() as connection:
                found.append(list(connection.execute(NAMES).scalars()))
                with pytest.raises(OperationalError, match="readonly"):
                    connection.exec_driver_sql("INSERT INTO places VALUES ('Talas')")
            engine.dispose()
            dialects.add(engine.dialect)
    assert found == [["Osh"], ["Batken"], ["Osh"]]
    assert len(dialects) == 1
    assert dialects.isdisjoint({first.engine.dialect})


def test_dialect_that_has_not_connected_is_not_shared(urls: list[str], tmp_path: Path) -> None:
    dialects = SharedDialects()
    missing, first, second = map(create_engine, (sqlite_url(tmp_path / "missing" / "file"), *urls[:2]))
    dialects.give(missing)
    with pytest.raises(OperationalError):
        missing.connect()
    dialects.give(first)
    assert first.dialect is not missing.dialect
    first.connect().close()
    dialects.give(second)
    assert second.dialect is first.dialect
    first.dispose()
