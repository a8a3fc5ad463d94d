"""One service's database: short transactions, the same on SQLite and PostgreSQL.

Durability: when `write()` has returned, what it wrote survives `kill -9` of the process and loss of power
(SQLite: WAL with `synchronous=FULL`; PostgreSQL: its own default). When it raises, nothing was written,
but for one case that no database can exclude: the connection broke during the commit itself. Callers
therefore make their writes repeatable (inbox, idempotency keys, compare-and-swap).

Concurrency: SQLite allows one writer. A greenlet that yields inside a write transaction while another one
waits for SQLite's own lock freezes the process, so writers queue for a lock of ours that lets others run.
Inside a transaction there is no I/O but the database's: no publishing, no HTTP, no sleep.

Erasure: SQLite writes zeros over what is deleted, be it an erased case or one that has left the outbox; its
write-ahead log holds the pages as they were until `checkpoint_wal`. On PostgreSQL a deleted row goes with
the next VACUUM, and from its write-ahead log when that is recycled.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from contracts.errors import Unavailable
from runtime.storage.space import low_space

_WRITING = "kopuro_writing"
_DURABLE = "kopuro_durable"
# How long SQLite waits for another process (a migration, a backup) that holds its lock.
_BUSY_TIMEOUT_MS = 5_000
# What PostgreSQL (SQLSTATE) does not count among the operational errors, though no message is at fault: the
# server became a read-only standby; the schema is not there yet. SQLite calls both operational.
_PASSING = frozenset({"25006", "42P01", "42703"})
# And what it does count among them, though only one message's values are: they are too large to index.
_LIMIT_EXCEEDED = "54"
# What was stored does not come back as it was. PostgreSQL: a file of its own cannot be read, its checksum or
# its structure is wrong; and SQLite's primary codes, with those of its I/O errors that are of a reading.
_DAMAGED = frozenset({"58030", "XX001", "XX002"})
_DAMAGED_SQLITE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREADABLE_SQLITE = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
# The one error that the driver raises by itself: it has no code.
_NO_TEXT = "Could not decode to UTF-8"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or cannot write (disk full, locked). Nothing took effect."""

    def reason(self) -> str:
        """What the driver says, such as "database or disk is full": one line, without the statement."""
        cause = self.__cause__
        said = cause.orig if isinstance(cause, DBAPIError) else cause
        return (str(said or "").strip() or self.detail).splitlines()[0]


class DatabaseDamaged(DatabaseUnavailable):
    """What is stored cannot be read back: a page, an index or the disk beneath is damaged.

    It lasts until somebody mends it. But no message is at fault, so none is parked for it: everything waits
    as it would for a database that is away.
    """


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file, for `Database.open` and KOPURO_DATABASE_URL. file: any absolute path.

    Raises ValueError for a path that is no Unicode text.
    """
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


class Database:
    """A pool of connections to one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._writer = threading.Lock() if self._is_sqlite else nullcontext()
        # Since when writes fail, by a clock that nobody sets, and why; None after one that succeeded.
        self._failing: tuple[float, str] | None = None

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> Database:
        """url: `sqlite:////absolute/path` or `postgresql+psycopg2://…`. Connects on first use."""
        options: dict[str, Any] = {
            # An error's text must not carry the values of a statement into a log.
            "hide_parameters": True,
            "pool_size": pool_size,
            "max_overflow": 20,
            "pool_timeout": 10,
        }
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            options["connect_args"] = {"check_same_thread": False, "isolation_level": None}
        else:
            options["pool_pre_ping"] = True
            # a server that is gone without a word is noticed within these bounds
            options["connect_args"] = {
                "connect_timeout": 5,
                "keepalives_idle": 30,
                "tcp_user_timeout": 15_000,
            }
            options["executemany_mode"] = "values_plus_batch"
        engine = create_engine(parsed, **options)
        if parsed.get_backend_name() == "sqlite":
            event.listen(engine, "do_connect", partial(_make_private, parsed.database))
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        return cls(engine)

    @property
    def engine(self) -> Engine:
        """For migrations and schema comparison."""
        return self._engine

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One write transaction: committed when the block ends, rolled back when it raises.

        durable: False for what may be done once more after a loss of power (deleting what is finished):
        the commit then does not wait for the disk. It is as atomic as any other, and the next durable
        commit makes it durable too. Raises DatabaseUnavailable; every other error is the block's own.
        """
        try:
            with self._writer, translated(), self._engine.connect() as connection:
                connection = connection.execution_options(**{_WRITING: True, _DURABLE: durable})
                with connection.begin():
                    if not durable and not self._is_sqlite:
                        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    yield connection
        except DatabaseUnavailable as error:
            since = time.monotonic() if self._failing is None else self._failing[0]
            self._failing = (since, error.reason())
            raise
        self._failing = None

    def alarm(self) -> str | None:
        """For `/readyz`: why nothing can be written, or that there will soon be no room; None otherwise."""
        failing = self._failing
        if failing is not None:
            seconds = time.monotonic() - failing[0]
            return f"no write has succeeded for {seconds:.0f} s: {failing[1]}"
        file = self.file
        return None if file is None else low_space(file)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for another kind of database."""
        name = self._engine.url.database
        return Path(name) if self._is_sqlite and name and name != ":memory:" else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read transaction, which sees what was committed before its first statement and nothing later.

        Raises DatabaseUnavailable.
        """
        with translated(), self._engine.connect() as connection:
            if not self._is_sqlite:
                # Said with its BEGIN. What only reads is never refused for it.
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def checkpoint_wal(self) -> bool:
        """Have SQLite's write-ahead log, which still holds the pages as they were, emptied.

        False where somebody is reading from it just now, or writing: nobody is waited for. On PostgreSQL
        there is nothing to do. Raises DatabaseUnavailable.
        """
        if not self._is_sqlite:
            return True
        with self._writer, translated(), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            try:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        return not busy

    def close(self) -> None:
        """Ends every connection."""
        self._engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Raises DatabaseUnavailable for what concerns the database itself and not the statement's values.

    Where that is because what is stored is damaged, it is a DatabaseDamaged.
    """
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("Too many wait for the database.") from error
    except DBAPIError as error:
        if _is_damage(error):
            raise DatabaseDamaged("The database is damaged.") from error
        if _passes(error):
            raise DatabaseUnavailable("The database cannot be used just now.") from error
        raise


def _passes(error: DBAPIError) -> bool:
    code = getattr(error.orig, "pgcode", None) or ""
    if code in _PASSING:
        return True
    operational = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    return operational and not code.startswith(_LIMIT_EXCEEDED)


def _is_damage(error: DBAPIError) -> bool:
    fault = error.orig
    if not isinstance(fault, sqlite3.Error):
        return getattr(fault, "pgcode", None) in _DAMAGED
    code: int | None = getattr(fault, "sqlite_errorcode", None)
    if code is None:
        return str(fault).startswith(_NO_TEXT)
    # An extended code holds the primary one in its lowest byte.
    return code in _UNREADABLE_SQLITE or code & 0xFF in _DAMAGED_SQLITE


def _make_private(file: str | None, *_: object) -> None:
    """Make a file that is not there yet with mode 0600: SQLite would leave it to the umask.

    Its journals get the mode of the file.
    """
    if file and file != ":memory:":
        # What cannot be made SQLite cannot open either, and says so.
        with suppress(OSError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could
    # otherwise be refused half-way.
    options = connection.get_execution_options()
    if not options.get(_WRITING, False):
        connection.exec_driver_sql("BEGIN")
        return
    # Said before every write, so that no transaction inherits another one's level.
    level = "FULL" if options[_DURABLE] else "NORMAL"
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA synchronous={level}")
    cursor.close()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
