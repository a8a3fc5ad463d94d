"""Migrations of every service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from runtime.storage import migrate
from runtime.storage.database import Database
from tests.servers import ROOT

SERVICES = ("intake", "directory", "routing", "delivery", "vault", "audit")
PACKAGES = [f"services.{name}" for name in SERVICES]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.open(database_url)
    yield database
    database.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_migrations_create_the_declared_schema(package: str, database: Database) -> None:
    assert migrate.differences(package, database) != []
    migrate.upgrade(package, database)
    assert migrate.differences(package, database) == []


def test_upgrading_again_changes_nothing(database: Database) -> None:
    migrate.upgrade("services.intake", database)
    with database.write() as connection:
        connection.execute(text("INSERT INTO inbox (consumer, message_id, received_at) VALUES ('c', 'm', 0)"))
    migrate.upgrade("services.intake", database)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM inbox")).scalar_one() == 1


def test_schema_difference_is_detected(database: Database) -> None:
    migrate.upgrade("services.intake", database)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE inbox ADD COLUMN forgotten integer"))
    (difference,) = migrate.differences("services.intake", database)
    assert "forgotten" in str(difference)


def test_failed_upgrade_is_rolled_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_service"
    (package / "adapters").mkdir(parents=True)
    (package / "migrations").mkdir()
    for folder in (package, package / "adapters"):
        (folder / "__init__.py").touch()
    (package / "adapters" / "tables.py").write_text(
        "from sqlalchemy import MetaData\nMETADATA = MetaData()\n"
    )
    (package / "migrations" / "first.py").write_text(
        "from alembic import op\n"
        "revision, down_revision = 'first', None\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE half (id integer)')\n"
        "    raise ZeroDivisionError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade("broken_service", database)
    assert "half" not in inspect(database.engine).get_table_names()


def test_migrate_command_upgrades_and_requires_a_url(sqlite_database: str) -> None:
    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.storage.migrate", "services.intake"],
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), **more},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    nameless = run()
    assert (nameless.returncode, "KOPURO_DATABASE_URL" in nameless.stderr) == (2, True)
    done = run(KOPURO_DATABASE_URL=sqlite_database)
    assert (done.returncode, done.stderr) == (0, "")
    database = Database.open(sqlite_database)
    assert migrate.differences("services.intake", database) == []
    database.close()
