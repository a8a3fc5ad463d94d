"""Statements sent to SQLite through its driver, past SQLAlchemy's execution.

For a short statement, SQLAlchemy's context, events and result metadata take several times as long as SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound

Row = tuple[Any, ...]

# An option of a write transaction: the `Turn` that its statements end.
TURN = "kopuro_turn"


class Scalars(list[Any]):
    """The first column of some rows."""

    def all(self) -> list[Any]:
        """Return them, as SQLAlchemy's `ScalarResult.all` does."""
        return self


class SqliteRows:
    """The rows of one statement; the part of SQLAlchemy's `CursorResult` that our adapters use.

    Rows are tuples without names. Reading them raises sqlite3.Error, which `database.translated` knows.
    """

    __slots__ = ("_cursor",)

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        """Return the number of changed rows."""
        return self._cursor.rowcount

    def __iter__(self) -> Iterator[Row]:
        return iter(self._cursor)

    def all(self) -> list[Row]:
        """Return the remaining rows."""
        return self._cursor.fetchall()

    def first(self) -> Row | None:
        """Return the first row, None if there is none; close the cursor."""
        row: Row | None = self._cursor.fetchone()
        self._cursor.close()
        return row

    def one_or_none(self) -> Row | None:
        """Return the only row, None if there is none. Raises MultipleResultsFound."""
        rows = self._cursor.fetchmany(2)
        self._cursor.close()
        if len(rows) > 1:
            raise MultipleResultsFound("the statement returned more than one row")
        return rows[0] if rows else None

    def one(self) -> Row:
        """Return the only row. Raises NoResultFound, MultipleResultsFound."""
        row = self.one_or_none()
        if row is None:
            raise NoResultFound("the statement returned no row")
        return row

    def scalar(self) -> Any:
        """Return the first column of the first row, None if there is no row."""
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        """Return the first column of the only row. Raises NoResultFound, MultipleResultsFound."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """Return the first column of the only row, None if there is none. Raises MultipleResultsFound."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def scalars(self) -> Scalars:
        """Return the first column of the remaining rows."""
        return Scalars([row[0] for row in self._cursor])

    def __enter__(self) -> SqliteRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cursor.close()


def driver_of(transaction: Connection) -> sqlite3.Connection | None:
    """Return the driver's connection within an open transaction.

    None: SQLAlchemy has to execute the statement, because it has not begun a transaction or because somebody
    listens to its statements.
    """
    heard = transaction.engine.dispatch
    if heard.before_cursor_execute or heard.after_cursor_execute or not transaction.in_transaction():
        return None
    return cast(sqlite3.Connection, transaction.connection.dbapi_connection)


def as_sqlalchemy(error: sqlite3.Error, statement: str) -> DBAPIError:
    """Return the exception that SQLAlchemy raises for this error, without the statement's values."""
    wrapped = DBAPIError.instance(statement, None, error, sqlite3.Error, hide_parameters=True)
    return cast(DBAPIError, wrapped)


def end_turn(transaction: Connection) -> None:
    """Let other greenlets run if the transaction's turn is over.

    SQLite holds the whole process during a statement, and a write transaction of many statements would delay
    every request. Writers do not meet here: they wait for the lock of `Database.write`.
    """
    turn = transaction.get_execution_options().get(TURN)
    if turn is not None:
        turn.end_if_over()
