"""Fast bulk inserts into empty databases, which are discarded when interrupted."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg2
from sqlalchemy import Table, make_url

Row = tuple[Any, ...]

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r"})


class Bulk(Protocol):
    """Bulk inserts into a database without other users."""

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows. Values are in the order of the table's columns: numbers, text, bytes, None."""


@contextmanager
def bulk(url: str) -> Iterator[Bulk]:
    """Provide bulk inserts, committed together at the end of the block.

    PostgreSQL is then vacuumed and analysed, as autovacuum would have done over the years.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database
        with _sqlite(parsed.database) as into:
            yield into
        return
    with _postgresql(url.replace("+psycopg2", "")) as into:
        yield into


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        self._connection.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', rows)  # noqa: S608


@contextmanager
def _sqlite(path: str) -> Iterator[Bulk]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # The data need not survive a crash. The file stays in WAL mode.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")
        connection.execute("BEGIN")
        yield _Sqlite(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


class _Postgresql:
    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.filled: dict[str, Table] = {}

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        self.filled[table.name] = table
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        lines = "".join(["\t".join(map(_field, row)) + "\n" for row in rows])
        self._cursor.copy_expert(f'COPY "{table.name}" ({names}) FROM STDIN', io.StringIO(lines))


@contextmanager
def _postgresql(url: str) -> Iterator[Bulk]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
            into = _Postgresql(cursor)
            yield into
            for table in into.filled.values():
                _go_on_numbering(cursor, table)
        connection.commit()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
    finally:
        connection.close()


def _go_on_numbering(cursor: Any, table: Table) -> None:
    numbered = table.autoincrement_column
    if numbered is not None:
        cursor.execute(
            f'SELECT setval(pg_get_serial_sequence(%s, %s), max("{numbered.name}")) FROM "{table.name}"',  # noqa: S608
            (table.name, numbered.name),
        )


def _field(value: Any) -> str:
    """Return a value in the text format of COPY."""
    if value is None:
        return r"\N"
    if isinstance(value, bytes):
        return r"\\x" + value.hex()
    return str(value).translate(_ESCAPED)
