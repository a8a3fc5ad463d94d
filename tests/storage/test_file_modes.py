"""Only the owner can read the files of a service's SQLite database, whatever the umask."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from runtime.storage import migrate
from runtime.storage.database import Database
from tests.storage.test_migrate import SERVICES

PRIVATE = 0o600


def modes(file: Path) -> dict[str, int]:
    """Return the modes of the database's files, by the endings of their names."""
    return {
        found.name.removeprefix(file.name): stat.S_IMODE(found.stat().st_mode)
        for found in file.parent.glob(f"{file.name}*")
    }


@pytest.mark.usefixtures("any_umask")
@pytest.mark.parametrize("service", SERVICES)
def test_database_and_its_journals_are_private_whatever_the_umask(service: str, tmp_path: Path) -> None:
    file = tmp_path / f"{service}.sqlite"
    database = Database.open(f"sqlite:///{file}")
    try:
        migrate.upgrade(f"services.{service}", database)
        with database.write() as connection:
            connection.execute(
                text("INSERT INTO inbox (consumer, message_id, received_at) VALUES ('c', 'm', 0)")
            )
        assert modes(file) == {"": PRIVATE, "-wal": PRIVATE, "-shm": PRIVATE}
    finally:
        database.close()
    reopened = Database.open(f"sqlite:///{file}")
    try:
        with reopened.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM inbox")).scalar_one() == 1
        assert modes(file) == {"": PRIVATE, "-wal": PRIVATE, "-shm": PRIVATE}
    finally:
        reopened.close()
