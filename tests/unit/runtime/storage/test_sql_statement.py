from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from runtime.storage.sql_statement import SqlStatement

ADD = SqlStatement("INSERT INTO things (number, name, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
NAMED = SqlStatement("SELECT number, body FROM things WHERE name = ANY (?) AND number > ? ORDER BY number")
NUMBERED = SqlStatement("UPDATE things SET name = ? WHERE number = ANY (?)")
COPIED = SqlStatement(
    "INSERT INTO things (number, name) SELECT 10 + ?, value FROM EACH (?) WHERE TRUE"
    " ON CONFLICT DO NOTHING RETURNING name"
)
LOCKED = SqlStatement("SELECT number FROM things WHERE number = ?", postgresql="FOR UPDATE")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.open(database_url)
    blob = "BLOB" if database.engine.dialect.name == "sqlite" else "BYTEA"
    with database.write() as transaction:
        transaction.exec_driver_sql(
            f"CREATE TABLE things (number BIGINT PRIMARY KEY, name TEXT, body {blob})"
        )
        ADD.run_for_each(transaction, [(n, f"{chr(96 + n)}'\"?%s", bytes([0, n])) for n in range(1, 6)])
    yield database
    database.close()


def numbers(database: Database, names: list[str], above: int = 0) -> list[int]:
    with database.read() as transaction:
        return list(NAMED.run(transaction, names, above).scalars())


def test_statement_values_round_trip(database: Database) -> None:
    with database.read() as transaction:
        rows = NAMED.run(transaction, ["b'\"?%s"], 0).all()
    assert [(number, bytes(body)) for number, body in rows] == [(2, b"\x00\x02")]


@pytest.mark.parametrize(
    ("names", "above", "found"),
    [
        ([], 0, []),
        (["zz"], 0, []),
        (["a'\"?%s", "e'\"?%s"] * 600, 0, [1, 5]),
        (["a'\"?%s", "e'\"?%s"], 1, [5]),
    ],
)
def test_list_parameter_may_have_any_length(
    database: Database, names: list[str], above: int, found: list[int]
) -> None:
    assert numbers(database, names, above) == found


def test_list_parameter_may_contain_numbers(database: Database) -> None:
    with database.write() as transaction:
        assert NUMBERED.run(transaction, "new", [2, 4, 2**40]).rowcount == 2
        assert NUMBERED.run(transaction, "new", []).rowcount == 0
    assert numbers(database, ["new"]) == [2, 4]


def test_run_for_each_without_rows_executes_nothing(database: Database) -> None:
    with database.write() as transaction:
        ADD.run_for_each(transaction, [(1, "other", b""), (6, "other", b"")])
        ADD.run_for_each(transaction, [])
    assert numbers(database, ["other"]) == [6]


def test_postgresql_suffix_applies_only_to_postgresql(database: Database) -> None:
    with database.write() as transaction:
        assert LOCKED.run(transaction, 3).scalar_one() == 3


def test_streamed_rows_are_read_one_by_one(database: Database) -> None:
    with database.read() as transaction:
        with NAMED.run(transaction, [f"{c}'\"?%s" for c in "abcde"], 0, stream=True) as rows:
            assert next(iter(rows))[0] == 1
        assert LOCKED.run(transaction, 5).scalar_one() == 5


def test_list_parameter_may_be_rows_of_a_query(database: Database) -> None:
    with database.write() as transaction:
        assert COPIED.run(transaction, 1, ['it\'s "new"?%']).scalars().all() == ['it\'s "new"?%']
        # the number exists already
        assert COPIED.run(transaction, 1, ["other"]).scalars().all() == []
    assert numbers(database, ['it\'s "new"?%', "other"]) == [11]
