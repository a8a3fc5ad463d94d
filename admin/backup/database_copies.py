"""Copies of a service's database: SQLite's own backup, and pg_dump with pg_restore.

Source: SQLite, "Using the SQLite Online Backup API"; PostgreSQL, pg_dump and pg_restore. Passwords go to
these programs in the environment, never in their arguments.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Connection, inspect, make_url, text

from admin.backup.dump_script import run_dump_script
from admin.hub_databases import ServiceDatabase
from admin.private_files import give_to_owner_of
from admin.schema_revisions import opened_database
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url
from runtime.storage.durable_names import sync_directory

_PROGRAM_SECONDS: Final = 3600
_PG_RESTORE: Final = ("pg_restore", "--no-owner", "--no-acl")


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
    place: ServiceDatabase, copy: Path, *, before: Callable[[Connection], None] | None = None
) -> None:
    """Write a copy into a database that is empty or does not exist, durably. Raises InvalidArgumentError.

    before: changes the content before anybody else can read it: a SQLite file before it gets its name, and a
    PostgreSQL database in the transaction that restores it. The file belongs to the owner of its directory:
    root restores for the service's account.
    """
    if not _is_sqlite(place):
        if before is not None:
            _restore_and_change(place, copy, before)
            return
        _run(
            place,
            [
                *_PG_RESTORE,
                "--exit-on-error",
                "--single-transaction",
                f"--dbname={make_url(place.url).database}",
                str(copy),
            ],
        )
        return
    target = _sqlite_file(place)
    draft = target.with_name(target.name + ".restoring")
    draft.unlink(missing_ok=True)
    _copy_sqlite(copy, draft)
    if before is not None:
        with opened_database(replace(place, url=sqlite_url(draft))) as database:
            with database.write() as connection:
                before(connection)
            database.checkpoint_wal()
    give_to_owner_of(draft, draft.parent)
    draft.replace(target)
    sync_directory(target.parent)


def _restore_and_change(place: ServiceDatabase, copy: Path, change: Callable[[Connection], None]) -> None:
    """Restore a dump and change it in one transaction: after a crash the database is empty.

    pg_restore alone commits before anything else can be changed, so it only writes the statements.
    """
    command = [*_PG_RESTORE, "--file=-", str(copy)]
    with (
        _started(place, command) as script,
        opened_database(place) as database,
        database.write() as connection,
    ):
        try:
            run_dump_script(connection, script.lines)
        except connection.dialect.loaded_dbapi.Error as error:
            raise _failed(place, command, str(error)) from None
        script.require_success()
        # The script has emptied it for the session.
        connection.execute(text("RESET search_path"))
        change(connection)


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
    try:
        done = subprocess.run(
            command,
            env=_environment(place),
            capture_output=True,
            text=True,
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise _not_installed(command) from None
    except subprocess.TimeoutExpired:
        raise InvalidArgumentError(f"{command[0]} for {place.service} takes longer than an hour") from None
    if done.returncode:
        raise _failed(place, command, done.stderr or f"status {done.returncode}")


class _Started:
    """A program whose output is read while it runs."""

    def __init__(self, place: ServiceDatabase, command: list[str], errors: IO[bytes]) -> None:
        self._place, self._command, self._errors = place, command, errors
        try:
            self._process = subprocess.Popen(
                command, env=_environment(place), stdout=subprocess.PIPE, stderr=errors
            )
        except FileNotFoundError:
            raise _not_installed(command) from None

    @property
    def lines(self) -> IO[bytes]:
        """The output, by lines."""
        assert self._process.stdout is not None
        return self._process.stdout

    def require_success(self) -> None:
        """Wait for the end of the program. Raises InvalidArgumentError if it failed."""
        if status := self._process.wait():
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")
            raise _failed(self._place, self._command, said or f"status {status}")

    def close(self) -> None:
        """End the program if it still runs."""
        self._process.kill()
        self._process.wait()
        self.lines.close()


@contextlib.contextmanager
def _started(place: ServiceDatabase, command: list[str]) -> Iterator[_Started]:
    with tempfile.TemporaryFile() as errors:
        started = _Started(place, command, errors)
        try:
            yield started
        finally:
            started.close()


def _not_installed(command: Sequence[str]) -> InvalidArgumentError:
    return InvalidArgumentError(f"{command[0]} is not installed (PostgreSQL's client programs)")


def _failed(place: ServiceDatabase, command: Sequence[str], said: str) -> InvalidArgumentError:
    first = next(iter(said.strip().splitlines()), "no reason given")
    return InvalidArgumentError(f"{command[0]} for {place.service} failed: {first}")


def _environment(place: ServiceDatabase) -> dict[str, str]:
    """Return the environment of PostgreSQL's programs for a database."""
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
    return {**inherited, **{name: str(value) for name, value in variables.items() if value is not None}}


def _is_sqlite(place: ServiceDatabase) -> bool:
    return make_url(place.url).get_backend_name() == "sqlite"


def _sqlite_file(place: ServiceDatabase) -> Path:
    return Path(str(make_url(place.url).database)).absolute()
