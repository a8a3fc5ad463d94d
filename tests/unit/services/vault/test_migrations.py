from __future__ import annotations

from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade


def test_migrations_produce_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.vault", database)
    upgrade("services.vault", database)
    assert differences("services.vault", database) == []
    database.close()
