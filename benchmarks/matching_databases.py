"""The databases of the benchmark of matching: filled, tuned, and with prepared statements."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg2
import psycopg2.extras
from sqlalchemy import make_url

from benchmarks.matching_layouts import Layout
from benchmarks.matching_parameters import PARAMETERS, parameters_of
from benchmarks.matching_schema import Row

Answer = Sequence[Sequence[Any]]
# Rows of one INSERT.
_AT_ONCE: Final = 1_000


class Database(ABC):
    """A database that answers the prepared statements. columns: of each statement, after its first answer.

    name: of the database system and the layout of its tables.
    """

    system: str

    def __init__(self, layout: Layout) -> None:
        self.name = layout.name_on(self.system)
        self.columns: dict[str, list[str]] = {}

    def named(self, statement: str, rows: Answer) -> list[dict[str, Any]]:
        """Return the rows of a statement by column."""
        columns = self.columns[statement]
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def server_cpu(self) -> float:
        """Return the CPU seconds of a process of its own that answers, 0 if there is none."""
        return 0.0

    @abstractmethod
    def ask(self, statement: str, arguments: Mapping[str, Any]) -> Answer:
        """Return the rows of a statement."""


class SqliteDatabase(Database):
    """SQLite in this process, on a file, with all pages in memory."""

    system = "SQLite"

    def __init__(self, connection: sqlite3.Connection, layout: Layout) -> None:
        super().__init__(layout)
        self._connection = connection
        self._statements = layout.statements(self.system)

    def ask(self, statement: str, arguments: Mapping[str, Any]) -> Answer:
        """Return the rows. The connection keeps the compiled statement."""
        cursor = self._connection.execute(self._statements[statement], arguments)
        if statement not in self.columns:
            self.columns[statement] = [column[0] for column in cursor.description]
        return cursor.fetchall()

    def scanned(self, statement: str) -> set[str]:
        """Return the tables that the compiled statement reads from their first row on."""
        by_page = dict(self._connection.execute("SELECT rootpage, tbl_name FROM sqlite_master"))
        steps = self._connection.execute(
            f"EXPLAIN {self._statements[statement]}", dict.fromkeys(PARAMETERS)
        ).fetchall()
        opened = {cursor: by_page[page] for _, step, cursor, page, *_ in steps if step == "OpenRead"}
        return {opened[cursor] for _, step, cursor, *_ in steps if step == "Rewind" and cursor in opened}


class PostgresDatabase(Database):
    """A connection to a PostgreSQL server."""

    system = "PostgreSQL"

    def __init__(self, connection: Any, layout: Layout) -> None:
        super().__init__(layout)
        self._cursor = connection.cursor()
        self._cursor.execute("SELECT pg_backend_pid()")
        (self._pid,) = self._cursor.fetchone()
        self._names: dict[str, list[str]] = {}
        self._execute: dict[str, str] = {}
        for name, statement in layout.statements(self.system).items():
            named = parameters_of(statement)
            numbers = {parameter: number for number, parameter in enumerate(named, 1)}
            text = re.sub(r"(?<!:):([a-z_]+[0-9]*)", lambda found, of=numbers: f"${of[found[1]]}", statement)  # type: ignore[misc]
            types = ", ".join(PARAMETERS[parameter] for parameter in named)
            self._cursor.execute(f"PREPARE {name} ({types}) AS {text}")
            self._names[name] = named
            self._execute[name] = f"EXECUTE {name} ({', '.join(['%s'] * len(named))})"

    def ask(self, statement: str, arguments: Mapping[str, Any]) -> Answer:
        """Return the rows of the prepared statement."""
        self._cursor.execute(self._execute[statement], [arguments[name] for name in self._names[statement]])
        if statement not in self.columns:
            self.columns[statement] = [column[0] for column in self._cursor.description]
        rows: Answer = self._cursor.fetchall()
        return rows

    def server_cpu(self) -> float:
        """Return the CPU seconds of the server's process for this connection; 0 where Linux does not say."""
        try:
            nanoseconds = int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0])
        except OSError:
            return 0.0
        return nanoseconds / 1e9


@contextmanager
def sqlite(folder: Path, layout: Layout, rows: Mapping[str, list[Row]]) -> Iterator[SqliteDatabase]:
    """Provide a database in a new file of the folder, filled with the rows of the layout's tables."""
    with closing(sqlite3.connect(folder / f"{layout.schema}.sqlite")) as connection:
        connection.create_function("sha256", 1, _sha256, deterministic=True)
        for table, (columns, key) in layout.tables.items():
            # Wide rows are found by SQLite's own integer key, narrow ones are kept in the index.
            kind = "" if f"{key} INTEGER" in columns else " WITHOUT ROWID"
            connection.execute(f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({key})){kind}")
            for names, values in _batches(rows[table]):
                places = ", ".join(["?"] * len(names))
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", values)  # noqa: S608
        for index in layout.index_statements():
            connection.execute(index)
        connection.commit()
        # In KiB: more than the tables of 50,000 services take.
        connection.execute("PRAGMA cache_size = -1048576")
        connection.execute("PRAGMA mmap_size = 1073741824")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("ANALYZE")
        connection.commit()
        yield SqliteDatabase(connection, layout)


@contextmanager
def postgresql(url: str, layout: Layout, rows: Mapping[str, list[Row]]) -> Iterator[PostgresDatabase]:
    """Provide a new schema of this URL's database, filled with the rows of the layout's tables."""
    address = make_url(url)
    with closing(
        psycopg2.connect(
            host=address.host,
            port=address.port,
            user=address.username,
            password=address.password,
            dbname=address.database,
        )
    ) as connection:
        # VACUUM does not run in a transaction.
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE SCHEMA {layout.schema}")
        cursor.execute(f"SET search_path = {layout.schema}")
        for table, (columns, key) in layout.tables.items():
            # Bytes are compared, as Python and SQLite do.
            text = columns.replace("TEXT", 'TEXT COLLATE "C"')
            cursor.execute(f"CREATE TABLE {table} ({text}, PRIMARY KEY ({key}))")
            for _, values in _batches(rows[table]):
                psycopg2.extras.execute_values(cursor, f"INSERT INTO {table} VALUES %s", values)  # noqa: S608
        for index in layout.index_statements():
            cursor.execute(index)
        # Without VACUUM, PostgreSQL looks up each row that an index names.
        cursor.execute("VACUUM ANALYZE")
        yield PostgresDatabase(connection, layout)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _batches(rows: Iterable[Row]) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    left = iter(rows)
    while batch := list(islice(left, _AT_ONCE)):
        yield list(batch[0]), [tuple(row.values()) for row in batch]
