"""A migrated schema that a test leaves to the next is like a new one, or is dropped."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from runtime.storage import migrate
from runtime.storage.database import Database
from tests.servers import PostgresServer
from tests.storage.test_migrated import rows, secret
from tests.support import migrated

PACKAGE = "services.audit"


def _used_and_returned(postgres: PostgresServer, statement: str = "SELECT 1") -> tuple[int, bytes, object]:
    """Lend and migrate a database, and execute a statement before its return.

    Return the system's number of a migrated table, the log's secret and the rows of the migration.
    """
    with postgres.lent_database() as url:
        database = Database.open(url)
        try:
            migrated.upgrade(PACKAGE, database)
            assert migrate.differences(PACKAGE, database) == []
            with database.read() as connection:
                number = connection.execute(text("SELECT 'tag_secret'::regclass::oid::int")).scalar_one()
            found = number, secret(database), rows(database)
            with database.write() as connection:
                connection.execute(text(statement))
            return found
        finally:
            database.close()


def test_schema_is_taken_back_without_rows_and_with_a_new_secret(postgres: PostgresServer) -> None:
    _used_and_returned(postgres)  # Alembic makes it, unless another test has recorded its statements
    table, first, before = _used_and_returned(postgres, "UPDATE tag_secret SET secret = 'known'")
    again, second, after = _used_and_returned(postgres)
    assert (again, after) == (table, before)
    assert len({first, second, b"known"}) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE tag_secret ADD COLUMN more TEXT",
        "CREATE INDEX more ON tag_secret (secret)",
        "CREATE TABLE more (id TEXT)",
        "GRANT SELECT ON tag_secret TO PUBLIC",
        "ANALYZE tag_secret",
        "INSERT INTO tag_secret SELECT n, secret FROM tag_secret, generate_series(2, 3000) AS n",
    ],
)
def test_schema_that_a_test_has_changed_is_made_anew(postgres: PostgresServer, statement: str) -> None:
    _used_and_returned(postgres)
    table, _, before = _used_and_returned(postgres)
    changed, _, _ = _used_and_returned(postgres, statement)
    again, _, after = _used_and_returned(postgres)
    assert changed == table
    assert again != table
    assert after == before
