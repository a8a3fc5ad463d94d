from __future__ import annotations

from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade


def test_the_migrations_come_to_the_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.intake", database)
    upgrade("services.intake", database)
    assert differences("services.intake", database) == []
    database.close()
