"""A service's database: short transactions, the same on SQLite and PostgreSQL.

Durability: when `write()` has returned, its writes survive `kill -9` of the process and loss of power
(SQLite: WAL with `synchronous=FULL`; PostgreSQL: its default). When it raises, nothing was written, with one
exception that no database can exclude: the connection broke during the commit itself. Callers therefore make
their writes repeatable (inbox, idempotency keys, compare-and-swap).

Concurrency: SQLite allows one writer. If a greenlet yields inside a write transaction while another one waits
for SQLite's own lock, the process freezes. So writers first wait for a lock of ours that lets other greenlets
run. Inside a transaction there is no I/O except the database's: no publishing, no HTTP, no waiting. Between
two statements other greenlets may run, on PostgreSQL while the server works, on SQLite when a turn is over.

Erasure: SQLite overwrites deleted rows with zeros, both erased cases and rows that left the outbox; its
write-ahead log keeps the old pages until `checkpoint_wal`. PostgreSQL removes a deleted row at the next
VACUUM, and from its write-ahead log when that is recycled.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from contracts.errors import Unavailable
from runtime.storage.database_url import parsed_database_url
from runtime.storage.space import low_space
from runtime.storage.sqlite_driver import TURN, as_sqlalchemy
from runtime.storage.sqlite_temporary import keep_temporary_files_beside
from runtime.tls import TlsFiles
from runtime.turn import Turn

_WRITING = "kopuro_writing"
_DURABLE = "kopuro_durable"
# An option of a write transaction: the list that `after_commit` adds to.
AFTER_COMMIT = "kopuro_after_commit"
# The options of a read transaction: a connection keeps those of its last write.
_READING: dict[str, Any] = {_WRITING: False, AFTER_COMMIT: None, TURN: None}
_ONE_SNAPSHOT: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
# SQLite connections that are kept open beyond SQLAlchemy's pool; more are rarely in use at once.
_MOST_IDLE = 5
# How long SQLite waits for a lock that another process (a migration, a backup) holds.
_BUSY_TIMEOUT_MS = 5_000
# How long a failed write is reported after others have succeeded.
_FAILURE_TOLD_SECONDS = 60
# SQLSTATEs that PostgreSQL does not report as operational errors although no message is at fault: the server
# became a read-only standby; the schema does not exist yet. SQLite reports both as operational.
_PASSING = frozenset({"25006", "42P01", "42703"})
# The SQLSTATE class that it reports as operational although one message is at fault: values too large to
# index.
_LIMIT_EXCEEDED = "54"
# Damaged data. PostgreSQL: a data file cannot be read, or its checksum or structure is wrong. SQLite: primary
# result codes, and the extended codes of failed reads.
_DAMAGED = frozenset({"58030", "XX001", "XX002"})
_DAMAGED_SQLITE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREADABLE_SQLITE = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
# The one error without a code, which the driver itself raises.
_NO_TEXT = "Could not decode to UTF-8"
# Each attempt in the messages of PostgreSQL's client library begins so.
_ATTEMPT = "connection to server"
# libpq does not say which.
_UNVERIFIED = "the server's certificate has expired, or no CA of KOPURO_DATABASE_CA signed it"


class DatabaseUnavailable(Unavailable):
    """The database is unreachable or cannot write (disk full, locked). Nothing took effect."""

    def reason(self) -> str:
        """Return the driver's message, such as "database or disk is full": one line without the statement.

        PostgreSQL's driver tries every address of a host, and has a line for each.
        """
        cause = self.__cause__
        fault = cause.orig if isinstance(cause, DBAPIError) else cause
        lines = (str(fault or "").strip() or self.detail).splitlines()
        line = "; ".join(one for one in lines if one.startswith(_ATTEMPT)) or lines[0]
        return f"{line} ({_UNVERIFIED})" if "certificate verify failed" in line else line


class DatabaseDamaged(DatabaseUnavailable):
    """Stored data cannot be read: a page, an index or the disk is damaged.

    The fault lasts until an operator repairs it. No message is at fault, so none is dead-lettered: processing
    waits as it does for an unreachable database.
    """


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file, for `Database.open` and KOPURO_DATABASE_URL. file: an absolute path.

    Raises ValueError for a path that is not valid Unicode.
    """
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


class Database:
    """A pool of connections to one database.

    A connection serves one transaction after another; `Connection.get_transaction` tells them apart.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._writer = threading.Lock() if self._is_sqlite else nullcontext()
        # SQLite's open connections without a transaction, the last one used at the end: the newest pages are
        # in its cache.
        self._idle: list[Connection] = []
        # The connection that `version` asks, None before the first call; and how many there have been.
        self._asked: Connection | None = None
        self._asked_number = 0
        # The monotonic time since which writes fail, and the reason; None after a successful write.
        self._failing: tuple[float, str] | None = None
        # The monotonic time of the last write that failed, and the reason.
        self._last_failure: tuple[float, str] | None = None

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, tls: TlsFiles | None = None) -> Database:
        """Return a database; it connects on first use.

        url: `sqlite:////absolute/path` or `postgresql+psycopg2://…`. tls: the files for TLS to PostgreSQL;
        the server's certificate is then verified whatever the URL says. None: as the URL says.
        Raises UnusableDatabaseUrl.
        """
        options: dict[str, Any] = {
            # An error's text must not carry a statement's values into the log.
            "hide_parameters": True,
            "pool_size": pool_size,
            "max_overflow": 20,
            "pool_timeout": 10,
        }
        parsed = parsed_database_url(url)
        if parsed.get_backend_name() == "sqlite":
            options["connect_args"] = {"check_same_thread": False, "isolation_level": None}
            # The connection used last has the newest pages in its cache.
            options["pool_use_lifo"] = True
        else:
            options["pool_pre_ping"] = True
            # a server that disappears silently is detected within these limits
            options["connect_args"] = {
                "connect_timeout": 5,
                "keepalives_idle": 30,
                "tcp_user_timeout": 15_000,
                **({} if tls is None else tls.libpq_options()),
            }
            options["executemany_mode"] = "values_plus_batch"
        engine = create_engine(parsed, **options)
        if parsed.get_backend_name() == "sqlite":
            event.listen(engine, "do_connect", partial(_make_private, parsed.database))
            event.listen(engine, "do_connect", partial(_place_temporary_files, parsed.database))
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        return cls(engine)

    @property
    def engine(self) -> Engine:
        """Return the engine, for migrations and schema comparison."""
        return self._engine

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Run one write transaction: committed when the block ends, rolled back when it raises.

        durable: False for work that may be repeated after a loss of power, such as deleting finished rows:
        the commit then does not wait for the disk. It is still atomic, and the next durable commit makes it
        durable too. Raises DatabaseUnavailable; every other error is the block's own.
        """
        afterwards: list[Callable[[], None]] = []
        try:
            with self._writer, translated(), self._lent() as connection:
                connection = connection.execution_options(
                    **{_WRITING: True, _DURABLE: durable, AFTER_COMMIT: afterwards},
                    **({TURN: Turn()} if self._is_sqlite else {}),
                )
                with connection.begin():
                    if not durable and not self._is_sqlite:
                        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    yield connection
        except DatabaseUnavailable as error:
            self._last_failure = (time.monotonic(), error.reason())
            since = self._last_failure[0] if self._failing is None else self._failing[0]
            self._failing = (since, error.reason())
            raise
        self._failing = None
        for work in afterwards:
            work()

    def await_writer(self) -> None:
        """Wait until no transaction of this process writes on SQLite; PostgreSQL takes several at once.

        Code that would wait for its own transaction anyway calls this before it collects its work. So it also
        collects the work that arrives meanwhile, and commits once for all of it.
        """
        with self._writer:
            pass

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: why writes fail, or that disk space is low; None otherwise.

        A nearly full disk still takes small writes, so a failed write is reported for a minute although
        others succeed.
        """
        now = time.monotonic()
        failing, last_failure = self._failing, self._last_failure
        if failing is not None:
            return f"writes have failed for {now - failing[0]:.0f} s: {failing[1]}"
        if last_failure is not None and now - last_failure[0] < _FAILURE_TOLD_SECONDS:
            return f"a write failed {now - last_failure[0]:.0f} s ago: {last_failure[1]}"
        file = self.file
        return None if file is None else low_space(file)

    @property
    def file(self) -> Path | None:
        """Return the SQLite file; None for PostgreSQL and in-memory databases."""
        name = self._engine.url.database
        return Path(name) if self._is_sqlite and name and name != ":memory:" else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run one read transaction. It sees only what was committed before its first statement.

        Raises DatabaseUnavailable.
        """
        with translated(), self._lent() as connection:
            # PostgreSQL: the level is sent with BEGIN. A read-only transaction never fails because of it.
            options = _READING if self._is_sqlite else _ONE_SNAPSHOT
            connection = connection.execution_options(**options)
            with connection.begin():
                yield connection

    def version(self) -> object:
        """Return a value that equals an earlier one only if nothing was committed between the two calls.

        SQLite counts the commits of every process and connection (`PRAGMA data_version`), and reports them
        without a query: some ten microseconds. PostgreSQL has no such number, so each value differs from all
        others there, and in a database in memory. Raises DatabaseUnavailable.
        """
        if self.file is None:
            return object()
        with translated():
            if self._asked is None:
                # One for this alone: SQLite does not count the commits of the connection that asks.
                opened = self._engine.connect()
                if self._asked is not None:  # another thread was faster
                    opened.close()
                else:
                    self._asked = opened
                    self._asked_number += 1
            driver: Any = self._asked.connection.dbapi_connection
            try:
                # Each connection counts from a number of its own.
                return self._asked_number, driver.execute("PRAGMA data_version").fetchall()[0][0]
            except sqlite3.Error:
                asked, self._asked = self._asked, None
                asked.invalidate()
                asked.close()
                raise

    def checkpoint_wal(self) -> bool:
        """Truncate SQLite's write-ahead log, which still contains the old pages.

        Does not wait: returns False while another connection reads from the log or writes. Does nothing on
        PostgreSQL. Raises DatabaseUnavailable.
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
        """Close every connection."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        """Lend a connection, whose options may be those of an earlier transaction.

        SQLite's are kept open for the next transaction: to take one from SQLAlchemy's pool and to return it
        costs more than a short transaction does. One whose block raised goes back to the pool, which resets
        or replaces it.
        """
        if not self._is_sqlite:
            with self._engine.connect() as connection:
                yield connection
            return
        connection = self._idle.pop() if self._idle else self._engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()


def after_commit(transaction: Connection, work: Callable[[], None]) -> None:
    """Call `work` when the transaction of `Database.write` has committed; never when it is rolled back.

    `work` must not raise. It is not called when the process dies between the two, or when the commit is
    reported as failed although it took effect: use it only for state of the process, such as counters.
    """
    transaction.get_execution_options()[AFTER_COMMIT].append(work)


@contextmanager
def translated() -> Iterator[None]:
    """Translate errors of the database itself, not of a statement's values, to DatabaseUnavailable.

    Damaged data becomes DatabaseDamaged.
    """
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("All database connections are in use.") from error
    except DBAPIError as error:
        unavailable = _translation(error)
        if unavailable is None:
            raise
        raise unavailable from error
    except sqlite3.Error as fault:
        # Rows that the driver itself reads (`sqlite_driver`).
        wrapped = as_sqlalchemy(fault, "reading rows")
        raise (_translation(wrapped) or wrapped) from fault


def _translation(error: DBAPIError) -> DatabaseUnavailable | None:
    if _is_damage(error):
        return DatabaseDamaged("The database is damaged.")
    if _passes(error):
        return DatabaseUnavailable("The database is unavailable.")
    return None


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
    # The lowest byte of an extended code is its primary code.
    return code in _UNREADABLE_SQLITE or code & 0xFF in _DAMAGED_SQLITE


def _make_private(file: str | None, *_: object) -> None:
    """Create a missing file with mode 0600: SQLite would apply the umask.

    The journals inherit the mode of the file.
    """
    if file and file != ":memory:":
        # If this fails, SQLite fails to open the file as well and reports the reason.
        with suppress(OSError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _place_temporary_files(file: str | None, *_: object) -> None:
    keep_temporary_files_beside(file)


def _prepare_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: otherwise a transaction that reads first and writes later could
    # fail half-way.
    options = connection.get_execution_options()
    # The driver's own calls: SQLAlchemy's take longer than SQLite.
    driver: Any = connection.connection.dbapi_connection
    try:
        if not options.get(_WRITING, False):
            driver.execute("BEGIN")
            return
        # Set before every write, so that no transaction inherits another one's level.
        level = "FULL" if options[_DURABLE] else "NORMAL"
        driver.execute(f"PRAGMA synchronous={level}")
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise as_sqlalchemy(error, "BEGIN") from error
