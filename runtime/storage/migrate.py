"""The migration command: `python -m runtime.storage.migrate services.intake`.

A service declares its schema in `<package>.adapters.tables.METADATA` and its Alembic versions in
`<package>/migrations/`. KOPURO_DATABASE_URL names the database. `--write "message"` writes a new version from
the difference between the migrated database and the declared schema.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from runtime.storage.command_database import open_database
from runtime.storage.database import Database

_ENVIRONMENT = Path(__file__).parent / "alembic"


def upgrade(package: str, database: Database, revision: str = "head") -> None:
    """Upgrade the database to a version of the package's schema, by default the newest. Repeatable."""
    with database.write() as connection:
        upgrade_within(package, connection, revision)


def upgrade_within(package: str, connection: Connection, revision: str = "head") -> None:
    """Do the same in an open transaction."""
    command.upgrade(_config(package, connection), revision)


def current_revision(database: Database) -> str | None:
    """Return the version of the database; None before the first migration. Raises DatabaseUnavailable."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def known_revisions(package: str) -> tuple[str, ...]:
    """Return the versions of the package's schema in this build, oldest first. Reads their files once."""
    scripts = ScriptDirectory.from_config(_scripts(package))
    return tuple(reversed([script.revision for script in scripts.walk_revisions()]))


def differences(package: str, database: Database) -> list[Any]:
    """Return Alembic's differences between the database and the declared schema; empty when equal."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, _metadata(package)))


def write_version(package: str, database: Database, message: str) -> None:
    """Write a new version file. The database must already be at the newest version."""
    with database.write() as connection:
        command.revision(_config(package, connection), message, autogenerate=True)


def _metadata(package: str) -> MetaData:
    metadata = importlib.import_module(f"{package}.adapters.tables").METADATA
    assert isinstance(metadata, MetaData)
    return metadata


def _config(package: str, connection: Connection) -> Config:
    config = _scripts(package)
    config.attributes["connection"] = connection
    config.attributes["metadata"] = _metadata(package)
    return config


def _scripts(package: str) -> Config:
    folder = Path(importlib.import_module(package).__path__[0]) / "migrations"
    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(slug)s")
    return config


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Exit statuses: 0 done, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m runtime.storage.migrate")
    parser.add_argument("packages", nargs="+", help="package of a service, for example services.intake")
    parser.add_argument("--write", metavar="MESSAGE", help="write a new version from the schema difference")
    options = parser.parse_args(arguments)
    database = open_database(parser)
    try:
        for package in options.packages:
            if options.write:
                write_version(package, database, options.write)
            else:
                upgrade(package, database)
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
