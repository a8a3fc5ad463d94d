"""Precompiled SQL statements for hot paths, sent without SQLAlchemy's expression language.

SQLAlchemy builds, looks up and compiles its statements and converts their values on each call, which costs
several times the database's own work. Everywhere else its statements are the better choice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection

from runtime.storage.sqlite_driver import Row, SqliteRows, as_sqlalchemy, driver_of, end_turn


class Scalars(Protocol):
    """The first column of some rows."""

    def __iter__(self) -> Iterator[Any]: ...

    def all(self) -> Sequence[Any]: ...


class Rows(Protocol):
    """The rows of one statement: SQLAlchemy's `CursorResult`, or the equivalent `SqliteRows`."""

    @property
    def rowcount(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...

    def all(self) -> Sequence[Row]: ...

    def first(self) -> Row | None: ...

    def one(self) -> Row: ...

    def one_or_none(self) -> Row | None: ...

    def scalar(self) -> Any: ...

    def scalar_one(self) -> Any: ...

    def scalar_one_or_none(self) -> Any: ...

    def scalars(self) -> Scalars: ...

    def __enter__(self) -> Rows: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


# SQLite holds the process during one call of its driver. This many rows take about a millisecond.
_ROWS_AT_ONCE = 50

# Our notation for lists of parameters, and its translation for each database.
_LIST, _LIST_ON_SQLITE = "= ANY (?)", "IN (SELECT value FROM json_each(?))"
_EACH, _EACH_ON_SQLITE, _EACH_ON_POSTGRESQL = "EACH (?)", "json_each(?)", "unnest(?) AS each (value)"


class SqlStatement:
    """One SQL statement for SQLite and PostgreSQL.

    `?` is a parameter. `= ANY (?)` takes a list of numbers or texts of any length; the SQL text stays the
    same, so that the database need not parse it again. `FROM EACH (?)` turns such a non-empty list into rows
    with a column `value`. Literal `?` and `%` are not possible.
    Values go to the driver unconverted: times as `columns.microseconds`, codes as texts. Results are the
    driver's: bytes may be a memoryview. Rows have no names.
    """

    __slots__ = ("_postgresql", "_sqlite", "text")

    def __init__(self, sql: str, *, postgresql: str = "") -> None:
        """postgresql: a suffix for PostgreSQL only, such as a row lock."""
        self.text = sql
        self._sqlite = sql.replace(_LIST, _LIST_ON_SQLITE).replace(_EACH, _EACH_ON_SQLITE)
        self._postgresql = f"{sql} {postgresql}".replace(_EACH, _EACH_ON_POSTGRESQL).replace("?", "%s")

    def run(self, transaction: Connection, *parameters: Any, stream: bool = False) -> Rows:
        """Execute the statement once. stream: fetch rows as they are read, not all at once."""
        if transaction.dialect.name == "postgresql":
            options = {"stream_results": True} if stream else None
            return transaction.exec_driver_sql(self._postgresql, parameters, execution_options=options)
        values = tuple(
            [orjson.dumps(value).decode() if isinstance(value, list) else value for value in parameters]
        )
        driver = driver_of(transaction)
        if driver is None:
            return transaction.exec_driver_sql(self._sqlite, values)
        end_turn(transaction)
        try:
            return SqliteRows(driver.execute(self._sqlite, values))
        except sqlite3.Error as error:
            raise as_sqlalchemy(error, self._sqlite) from error

    def run_for_each(self, transaction: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute the statement once for each row of parameters, none of which may be a list."""
        if not rows:
            return
        if transaction.dialect.name == "postgresql":
            transaction.exec_driver_sql(self._postgresql, list(rows))
            return
        driver = driver_of(transaction)
        if driver is None:
            transaction.exec_driver_sql(self._sqlite, list(rows))
            return
        try:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                end_turn(transaction)
                driver.executemany(self._sqlite, rows[start : start + _ROWS_AT_ONCE])
        except sqlite3.Error as error:
            raise as_sqlalchemy(error, self._sqlite) from error
