from __future__ import annotations

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text

from runtime.storage.database import Database
from runtime.storage.migrate import differences, upgrade
from services.intake.migrations import understood
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import OSH, claim


def test_migrations_produce_declared_schema(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.intake", database)
    upgrade("services.intake", database)
    assert differences("services.intake", database) == []
    database.close()


def test_migration_keeps_keys_that_an_earlier_build_stored(bench: IntakeBench) -> None:
    old = claim("k", b"body")
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        understood.downgrade()
        connection.execute(
            text(
                "INSERT INTO idempotency_keys (organization, key, fingerprint, answer_id, used_at)"
                " VALUES (:organization, 'k', :fingerprint, 'first', 0)"
            ),
            {"organization": OSH, "fingerprint": old.fingerprint},
        )
        understood.upgrade()
    assert bench.submit(old) == "first"
    assert differences("services.intake", bench.database) == []
