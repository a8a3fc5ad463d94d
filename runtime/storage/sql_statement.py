"""Precompiled SQL statements for hot paths, sent without SQLAlchemy's expression language.

SQLAlchemy builds, looks up and compiles its statements and converts their values on each call, which costs
several times the database's own work. Everywhere else its statements are the better choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import orjson
from sqlalchemy import Connection, CursorResult

Rows: TypeAlias = CursorResult[*tuple[Any, ...]]

# Our notation for lists of parameters, and its translation for each database.
_LIST, _LIST_ON_SQLITE = "= ANY (?)", "IN (SELECT value FROM json_each(?))"
_EACH, _EACH_ON_SQLITE, _EACH_ON_POSTGRESQL = "EACH (?)", "json_each(?)", "unnest(?) AS each (value)"


class SqlStatement:
    """One SQL statement for SQLite and PostgreSQL.

    `?` is a parameter. `= ANY (?)` takes a list of numbers or texts of any length; the SQL text stays the
    same, so that the database need not parse it again. `FROM EACH (?)` turns such a non-empty list into rows
    with a column `value`. Literal `?` and `%` are not possible.
    Values go to the driver unconverted: times as `columns.microseconds`, codes as texts. Results are the
    driver's: bytes may be a memoryview.
    """

    __slots__ = ("_postgresql", "_sqlite", "text")

    def __init__(self, sql: str, *, postgresql: str = "") -> None:
        """postgresql: a suffix for PostgreSQL only, such as a row lock."""
        self.text = sql
        self._sqlite = sql.replace(_LIST, _LIST_ON_SQLITE).replace(_EACH, _EACH_ON_SQLITE)
        self._postgresql = f"{sql} {postgresql}".replace(_EACH, _EACH_ON_POSTGRESQL).replace("?", "%s")

    def run(self, transaction: Connection, *parameters: Any, stream: bool = False) -> Rows:
        """Execute the statement once. stream: fetch rows as they are read, not all at once."""
        options = {"stream_results": True} if stream else None
        if transaction.dialect.name == "postgresql":
            return transaction.exec_driver_sql(self._postgresql, parameters, execution_options=options)
        values = tuple(
            orjson.dumps(value).decode() if isinstance(value, list) else value for value in parameters
        )
        return transaction.exec_driver_sql(self._sqlite, values, execution_options=options)

    def run_for_each(self, transaction: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute the statement once for each row of parameters, none of which may be a list."""
        if rows:
            on_postgresql = transaction.dialect.name == "postgresql"
            transaction.exec_driver_sql(self._postgresql if on_postgresql else self._sqlite, list(rows))
