"""A statement of a hot path: SQL as it is written here, sent as it stands.

SQLAlchemy's own statements are built, looked up, compiled and their values converted for each call, which
on a busy path costs several times what the database needs. Everywhere else they are the better choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import orjson
from sqlalchemy import Connection, CursorResult

Rows: TypeAlias = CursorResult[*tuple[Any, ...]]

# What we write for a list of parameters, and what each database reads.
_LIST, _LIST_ON_SQLITE = "= ANY (?)", "IN (SELECT value FROM json_each(?))"
_EACH, _EACH_ON_SQLITE, _EACH_ON_POSTGRESQL = "EACH (?)", "json_each(?)", "unnest(?) AS each (value)"


class SqlStatement:
    """One text for SQLite and PostgreSQL.

    `?` is a parameter, `= ANY (?)` one that is a list of numbers or of texts, of any length: the text stays
    the same, so that the database need not read it anew. `FROM EACH (?)` is such a list (not an empty one) as
    rows with a column `value`. Neither `?` nor `%` can be written as themselves.
    Values go to the driver as they are: a moment as `columns.microseconds` gives it, a code as its text;
    and come back as the driver gives them: bytes may be a memoryview.
    """

    __slots__ = ("_postgresql", "_sqlite")

    def __init__(self, sql: str, *, postgresql: str = "") -> None:
        """postgresql: what that alone has at the end, such as the locking of rows."""
        self._sqlite = sql.replace(_LIST, _LIST_ON_SQLITE).replace(_EACH, _EACH_ON_SQLITE)
        self._postgresql = f"{sql} {postgresql}".replace(_EACH, _EACH_ON_POSTGRESQL).replace("?", "%s")

    def run(self, transaction: Connection, *parameters: Any, stream: bool = False) -> Rows:
        """Execute it once. stream: rows are fetched as they are read, and not all at first."""
        options = {"stream_results": True} if stream else None
        if transaction.dialect.name == "postgresql":
            return transaction.exec_driver_sql(self._postgresql, parameters, execution_options=options)
        values = tuple(
            orjson.dumps(value).decode() if isinstance(value, list) else value for value in parameters
        )
        return transaction.exec_driver_sql(self._sqlite, values, execution_options=options)

    def run_for_each(self, transaction: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it once for each row of parameters, none of which is a list."""
        if rows:
            on_postgresql = transaction.dialect.name == "postgresql"
            transaction.exec_driver_sql(self._postgresql if on_postgresql else self._sqlite, list(rows))
