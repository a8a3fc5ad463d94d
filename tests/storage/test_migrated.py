"""A database migrated by recorded statements is like one that Alembic migrated."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import inspect, text

from runtime.storage import migrate
from runtime.storage.database import Database
from sandbox.hub_files import SERVICES
from tests.support import migrated


def rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of all tables; of a secret, its length."""
    with database.read() as connection:
        return {
            table: sorted(
                tuple(len(value) if isinstance(value, bytes | memoryview) else value for value in row)
                for row in connection.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608
            )
            for table in inspect(connection).get_table_names()
        }


def empty(database: Database, tables: Sequence[str]) -> None:
    with database.write() as connection:
        cascade = "" if connection.dialect.name == "sqlite" else " CASCADE"
        for table in tables:
            connection.execute(text(f'DROP TABLE IF EXISTS "{table}"{cascade}'))


def secret(database: Database) -> bytes:
    """Return the log's secret, which its migration invents; empty if the service is not audit."""
    with database.read() as connection:
        if "tag_secret" not in inspect(connection).get_table_names():
            return b""
        return bytes(connection.execute(text("SELECT secret FROM tag_secret")).scalar_one())


@pytest.mark.parametrize("service", SERVICES)
def test_recorded_migration_gives_the_schema_and_rows_of_alembic(service: str, database_url: str) -> None:
    package = f"services.{service}"
    database = Database.open(database_url)
    try:
        migrate.upgrade(package, database)
        by_alembic = rows(database)
        found = []
        for _ in ("records unless another test did", "repeats", "copies on SQLite"):
            empty(database, list(by_alembic))
            migrated.upgrade(package, database)
            found.append(secret(database))
        assert migrate.differences(package, database) == []
        assert rows(database) == by_alembic
        assert len(set(found)) == len(found) if service == "audit" else set(found) == {b""}
    finally:
        database.close()
