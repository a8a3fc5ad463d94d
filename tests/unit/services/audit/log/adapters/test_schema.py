from __future__ import annotations

from runtime.storage.database import Database
from runtime.storage.migrate import differences


def test_migrations_create_the_declared_schema(database: Database) -> None:
    assert differences("services.audit", database) == []
