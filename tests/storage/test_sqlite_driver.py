"""SQLite's driver behind `SqlStatement`: the same rows, errors and transactions as through SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound

from runtime.storage.database import Database, DatabaseDamaged, DatabaseUnavailable
from runtime.storage.sql_statement import SqlStatement
from runtime.storage.sqlite_driver import SqliteRows

ADD = SqlStatement("INSERT INTO things (number, name) VALUES (?, ?)")
FROM = SqlStatement("SELECT number, name FROM things WHERE number >= ? ORDER BY number")
RENAME = SqlStatement("UPDATE things SET name = ? WHERE number = ANY (?)")


@pytest.fixture
def database(sqlite_database: str) -> Iterator[Database]:
    database = Database.open(sqlite_database)
    with database.write() as transaction:
        transaction.exec_driver_sql("CREATE TABLE things (number INTEGER PRIMARY KEY, name TEXT)")
        ADD.run_for_each(transaction, [(1, "one"), (2, "two"), (3, "three")])
    yield database
    database.close()


def test_rows_read_by_the_driver_equal_those_of_sqlalchemy(database: Database) -> None:
    questions: dict[str, Any] = {
        "all": lambda rows: [tuple(row) for row in rows.all()],
        "iterated": lambda rows: [tuple(row) for row in rows],
        "first": lambda rows: rows.first() and 1,
        "scalars": lambda rows: list(rows.scalars()),
        "all scalars": lambda rows: list(rows.scalars().all()),
        "scalar": lambda rows: rows.scalar(),
        "scalar_one": lambda rows: rows.scalar_one(),
        "scalar_one_or_none": lambda rows: rows.scalar_one_or_none(),
        "one": lambda rows: tuple(rows.one()),
        "one_or_none": lambda rows: rows.one_or_none() and 1,
    }
    with database.read() as transaction:
        for name, ask in questions.items():
            for least in (1, 3, 4):
                found = _answer(ask, FROM.run(transaction, least))
                text = FROM.text.replace("?", str(least))
                assert found == _answer(ask, transaction.exec_driver_sql(text)), (name, least)
        assert isinstance(FROM.run(transaction, 1), SqliteRows)


def _answer(ask: Any, rows: Any) -> object:
    try:
        return ask(rows)
    except (NoResultFound, MultipleResultsFound) as error:
        return type(error)


def test_refused_row_is_an_integrity_error_without_its_values_and_undoes_the_transaction(
    database: Database,
) -> None:
    for add in (
        lambda transaction: ADD.run(transaction, 3, "secret"),
        lambda transaction: ADD.run_for_each(transaction, [(4, "secret"), (3, "secret")]),
    ):
        with pytest.raises(IntegrityError) as caught, database.write() as transaction:
            add(transaction)
        assert "secret" not in str(caught.value)
    with database.read() as transaction:
        assert FROM.run(transaction, 3).all() == [(3, "three")]


def test_statement_on_database_that_cannot_write_is_unavailable(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, database.write() as transaction:
        transaction.exec_driver_sql("PRAGMA query_only=1")
        try:
            RENAME.run(transaction, "x", [1])
        finally:
            transaction.exec_driver_sql("PRAGMA query_only=0")
    assert caught.value.reason() == "attempt to write a readonly database"


def test_undecodable_text_read_by_the_driver_is_damage(database: Database) -> None:
    with database.write() as transaction:
        transaction.exec_driver_sql("UPDATE things SET name = CAST(x'ff' AS TEXT) WHERE number = 2")
    with pytest.raises(DatabaseDamaged), database.read() as transaction:
        FROM.run(transaction, 1).all()


def test_listener_receives_every_statement(database: Database) -> None:
    heard: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        heard.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    with database.write() as transaction:
        RENAME.run(transaction, "x", [1, 2])
        ADD.run_for_each(transaction, [(7, "seven")])
    assert [statement.split()[0] for statement in heard] == ["UPDATE", "INSERT"]


def test_statement_outside_a_transaction_begins_one(database: Database) -> None:
    with database.engine.connect() as connection:
        RENAME.run(connection, "x", [1])
        driver: Any = connection.connection.dbapi_connection
        assert driver.in_transaction
        connection.rollback()
    with database.read() as transaction:
        assert FROM.run(transaction, 1).first() == (1, "one")


def test_begin_that_the_database_refuses_is_unavailable(database: Database, sqlite_database: str) -> None:
    file = sqlite_database.removeprefix("sqlite:///")
    with database.read() as transaction:
        transaction.exec_driver_sql("PRAGMA busy_timeout=1")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable) as caught, database.write():
        pytest.fail("another process writes")
    assert caught.value.reason() == "database is locked"
    holder.execute("ROLLBACK")
    holder.close()
