from __future__ import annotations

from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade


def test_migrations_produce_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.delivery", database)
    upgrade("services.delivery", database)
    assert differences("services.delivery", database) == []
    database.close()
