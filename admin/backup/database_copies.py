"""Copies of a service's database: SQLite's own backup, and pg_dump with pg_restore.

Source: SQLite, "Using the SQLite Online Backup API"; PostgreSQL, pg_dump and pg_restore. Passwords go to
these programs in the environment, never in their arguments.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import inspect, make_url

from admin.hub_databases import ServiceDatabase
from admin.private_files import give_to_owner_of
from admin.schema_revisions import opened_database
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url
from runtime.storage.durable_names import sync_directory

_PROGRAM_SECONDS: Final = 3600


def copy_name(place: ServiceDatabase) -> str:
    """Return the name of a database's copy in a backup."""
    return f"{place.service}.sqlite" if _is_sqlite(place) else f"{place.service}.dump"


def copy_database(place: ServiceDatabase, directory: Path) -> Path:
    """Copy a database into the directory, as of one moment. Raises InvalidArgumentError."""
    target = directory / copy_name(place)
    target.unlink(missing_ok=True)
    if not _is_sqlite(place):
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(descriptor)
        _run(place, ["pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={target}"])
        return target
    source = _sqlite_file(place)
    if not source.is_file():
        raise InvalidArgumentError(f"{source} does not exist")
    _copy_sqlite(source, target)
    return target


def restore_database(
    place: ServiceDatabase, copy: Path, *, before: Callable[[ServiceDatabase], None] | None = None
) -> None:
    """Write a copy into a database that is empty or does not exist, durably. Raises InvalidArgumentError.

    before: changes a SQLite file before it gets its name, and a PostgreSQL database at once afterwards. The
    file belongs to the owner of its directory: root restores for the service's account.
    """
    if not _is_sqlite(place):
        _run(
            place,
            [
                "pg_restore",
                "--no-owner",
                "--no-acl",
                "--exit-on-error",
                "--single-transaction",
                f"--dbname={make_url(place.url).database}",
                str(copy),
            ],
        )
        if before is not None:
            before(place)
        return
    target = _sqlite_file(place)
    draft = target.with_name(target.name + ".restoring")
    draft.unlink(missing_ok=True)
    _copy_sqlite(copy, draft)
    if before is not None:
        before(replace(place, url=sqlite_url(draft)))
    give_to_owner_of(draft, draft.parent)
    draft.replace(target)
    sync_directory(target.parent)


def is_empty(place: ServiceDatabase) -> bool:
    """Return whether the database has no table; a SQLite file that does not exist has none."""
    if _is_sqlite(place) and not _sqlite_file(place).exists():
        return True
    with opened_database(place) as database, database.read() as transaction:
        return not inspect(transaction).get_table_names()


def _copy_sqlite(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reader,
            contextlib.closing(sqlite3.connect(target)) as writer,
        ):
            reader.backup(writer)
            # One file without a journal beside it. A service turns the write-ahead log on again.
            writer.execute("PRAGMA journal_mode=DELETE")
        descriptor = os.open(target, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    except (sqlite3.Error, OSError) as error:
        raise InvalidArgumentError(f"{source} cannot be copied: {error}") from None


def _run(place: ServiceDatabase, command: list[str]) -> None:
    url = make_url(place.url)
    variables = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGCONNECT_TIMEOUT": "10",
    }
    if place.tls is not None:
        options = place.tls.libpq_options()
        variables |= {f"PG{name.upper()}": value for name, value in options.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment = {
        **inherited,
        **{name: str(value) for name, value in variables.items() if value is not None},
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=False
        )
    except FileNotFoundError:
        raise InvalidArgumentError(f"{command[0]} is not installed (PostgreSQL's client programs)") from None
    except subprocess.TimeoutExpired:
        raise InvalidArgumentError(f"{command[0]} for {place.service} takes longer than an hour") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise InvalidArgumentError(f"{command[0]} for {place.service} failed: {lines[0]}")


def _is_sqlite(place: ServiceDatabase) -> bool:
    return make_url(place.url).get_backend_name() == "sqlite"


def _sqlite_file(place: ServiceDatabase) -> Path:
    return Path(str(make_url(place.url).database)).absolute()
