"""Only the owner can read the files of a service's SQLite database, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from runtime.storage import migrate
from runtime.storage.database import Database
from tests.storage.test_migrate import SERVICES

PRIVATE = 0o600


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set this umask for the process until the test ends."""
    mask: int = request.param
    previous = os.umask(mask)
    yield mask
    os.umask(previous)


def modes(file: Path) -> dict[str, int]:
    """Return the modes of the database's files, by the endings of their names."""
    return {
        found.name.removeprefix(file.name): stat.S_IMODE(found.stat().st_mode)
        for found in file.parent.glob(f"{file.name}*")
    }


@pytest.mark.usefixtures("umask")
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
