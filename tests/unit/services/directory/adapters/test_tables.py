"""The migrations produce the declared schema on both databases."""

from __future__ import annotations

from runtime.storage import migrate
from runtime.storage.database import Database


def test_migrated_schema_equals_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    try:
        assert migrate.differences("services.directory", database) != []
        migrate.upgrade("services.directory", database)
        assert migrate.differences("services.directory", database) == []
    finally:
        database.close()
