"""The migration of an empty database, by the statements of the first such migration in this process.

Alembic takes 20 to 50 ms for each database, several times what the statements themselves take. On PostgreSQL
a schema that an earlier test left needs only the rows of its migration; an SQLite file is a copy.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2.extensions
from sqlalchemy import Connection, event

from runtime.storage import migrate
from runtime.storage.database import Database
from tests.support import kept_schemas

_Statement = tuple[str, Any]
_NOT_REPEATED = ("SELECT", "PRAGMA", "SHOW", "BEGIN", "COMMIT")
_ANY_TABLE = {
    "sqlite": "SELECT 1 FROM sqlite_schema LIMIT 1",
    "postgresql": "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() LIMIT 1",
}
_recorded: dict[tuple[str, str], list[_Statement]] = {}
# Keyed by package: what the migrations leave in each table.
_rows: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
# Keyed by package: an SQLite database in memory that was just migrated.
_copies: dict[str, sqlite3.Connection] = {}


def upgrade(package: str, database: Database) -> None:
    """Do what `migrate.upgrade` does. Only an empty database is migrated by recorded statements."""
    kind = (package, database.engine.dialect.name)
    with database.read() as connection:
        is_empty = connection.exec_driver_sql(_ANY_TABLE[kind[1]]).first() is None
    if not is_empty:
        migrate.upgrade(package, database)
    elif kind not in _recorded:
        with _recording(database) as statements:
            migrate.upgrade(package, database)
        _recorded[kind] = statements
    elif kind[1] == "sqlite" and package in _copies:
        _copy(_copies[package], str(database.engine.url.database))
    else:
        with database.write() as connection:
            cursor = connection.connection.cursor()
            if kind[1] == "postgresql":
                _repeat_or_take_back(package, cursor, _recorded[kind])
            else:
                _repeat(cursor, _recorded[kind])
            cursor.close()
        if kind[1] == "sqlite":
            _copies[package] = _copy_of(str(database.engine.url.database))


@contextmanager
def transaction(package: str, url: str) -> Iterator[Connection]:
    """Yield a transaction on an empty database that is migrated for it."""
    database = Database.open(url)
    upgrade(package, database)
    with database.write() as connection:
        yield connection
    database.close()


def _copy_of(file: str) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    with closing(sqlite3.connect(file)) as source:
        source.backup(copy)
    return copy


def _copy(source: sqlite3.Connection, file: str) -> None:
    """Copy a database over the empty one in the file, with new secrets."""
    with closing(sqlite3.connect(file)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target)
        for (table,) in target.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            rows = target.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608
            if any(isinstance(value, bytes) for row in rows for value in row):
                places = ", ".join("?" * len(rows[0]))
                target.execute(f'DELETE FROM "{table}"')  # noqa: S608
                target.executemany(
                    f'INSERT INTO "{table}" VALUES ({places})',  # noqa: S608
                    [_with_new_secrets(row) for row in rows],
                )
        target.commit()


def _repeat(cursor: Any, statements: list[_Statement]) -> None:
    for statement, parameters in statements:
        cursor.execute(statement, _with_new_secrets(parameters))


def _repeat_or_take_back(package: str, cursor: Any, statements: list[_Statement]) -> None:
    if package in _rows and kept_schemas.take_back(cursor, package):
        for table, rows in _rows[package].items():
            places = ", ".join(["%s"] * len(rows[0]))
            for row in rows:
                cursor.execute(f'INSERT INTO "{table}" VALUES ({places})', _with_new_secrets(row))  # noqa: S608
        return
    _repeat(cursor, statements)
    kept_schemas.label(cursor, package)
    if package not in _rows:
        _rows[package] = _rows_of_every_table(cursor)


def _rows_of_every_table(cursor: Any) -> dict[str, list[tuple[Any, ...]]]:
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    found = {}
    for (table,) in cursor.fetchall():
        cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608
        if rows := cursor.fetchall():
            found[table] = rows
    return found


def _with_new_secrets(parameters: Any) -> Any:
    """Replace every byte string: a migration writes one only as a secret of the database's own."""
    if isinstance(parameters, dict):
        return {name: _new_secret(value) for name, value in parameters.items()}
    return tuple(map(_new_secret, parameters))


def _new_secret(value: Any) -> Any:
    if isinstance(value, psycopg2.extensions.Binary):
        return psycopg2.Binary(secrets.token_bytes(len(value.adapted)))
    return secrets.token_bytes(len(value)) if isinstance(value, bytes | memoryview) else value


@contextmanager
def _recording(database: Database) -> Iterator[list[_Statement]]:
    statements: list[_Statement] = []

    def record(_c: object, _u: object, statement: str, parameters: Any, _x: object, many: bool) -> None:
        if not statement.lstrip().upper().startswith(_NOT_REPEATED):
            assert not many
            statements.append((statement, parameters))

    event.listen(database.engine, "after_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(database.engine, "after_cursor_execute", record)
