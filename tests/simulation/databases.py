"""In-memory databases that fail at commit: rolled back, committed but reported failed, or killed there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.pool import StaticPool

from contracts.envelope import Envelope
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.storage.database import AFTER_COMMIT, Database, DatabaseUnavailable, translated

# Everything that committed transactions wrote to the outbox, from which the relay deletes.
_REMEMBER = (
    "CREATE TABLE said (number INTEGER PRIMARY KEY, exchange TEXT, routing_key TEXT, body BLOB)",
    "CREATE TRIGGER remember AFTER INSERT ON outbox BEGIN"
    " INSERT INTO said (exchange, routing_key, body) VALUES (new.exchange, new.routing_key, new.body); END",
)


class Fate(Enum):
    """The fate of a write transaction."""

    committed = auto()
    rolled_back = auto()
    unknown = auto()  # committed, and reported as failed
    killed_before = auto()  # the process dies with the transaction open
    killed_after = auto()  # the process dies before the commit is known


class Killed(BaseException):
    """The process of `service` has died. Only the simulation may catch this."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.service = service


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A message that a committed transaction caused."""

    exchange: str
    routing_key: str
    message: Envelope


class MemoryDatabase(Database):
    """One service's database. It survives the service, and `reset` starts another story on it.

    Its one connection is kept, and so is what a look from outside has found until something is written: a
    story is thousands of short transactions and reads, without other users.
    """

    def __init__(self, service: str, metadata: MetaData) -> None:
        self.service = service
        self.fate: Callable[[], Fate] = lambda: Fate.committed
        engine = create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
        super().__init__(engine)
        self._connection = engine.connect()
        driver: Any = self._connection.connection.driver_connection
        self._raw = driver
        self._looks: dict[str, list[Any]] = {}
        with self.write() as transaction:
            metadata.create_all(transaction)
            # Audit's migration inserts this row, and `create_all` runs no migration.
            if (secret := metadata.tables.get("tag_secret")) is not None:
                transaction.execute(secret.insert().values(number=1, secret=bytes(32)))
            for statement in _REMEMBER:
                transaction.exec_driver_sql(statement)
        self._empty = sqlite3.connect(":memory:", check_same_thread=False)
        self._raw.backup(self._empty)

    def reset(self) -> None:
        """Delete all rows."""
        self._empty.backup(self._raw)
        self._looks.clear()

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """See `Database.write`. durable: ignored, nothing here is durable."""
        fate = self.fate()
        afterwards: list[Callable[[], None]] = []
        # `services.routing.live_directory` goes by SQLAlchemy's transaction.
        with self._engine.connect() as connection, connection.begin(), self._transaction("BEGIN IMMEDIATE"):
            yield connection.execution_options(**{AFTER_COMMIT: afterwards})
            if fate is Fate.rolled_back:
                raise DatabaseUnavailable("The commit failed.")
            if fate is Fate.killed_before:
                raise Killed(self.service)
        if fate is Fate.unknown:
            raise DatabaseUnavailable("Nobody knows whether it was committed.")
        if fate is Fate.killed_after:
            raise Killed(self.service)
        for work in afterwards:
            work()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See `Database.read`."""
        with self._transaction("BEGIN"):
            yield self._connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with translated():
            self._raw.execute(begin)  # raises for a transaction within another
            try:
                yield
            except BaseException:
                self._raw.execute("ROLLBACK")
                raise
            self._raw.execute("COMMIT")
        if begin != "BEGIN":
            self._looks.clear()

    @property
    def changes(self) -> int:
        """Return the number of rows ever written; the same number means no writes in between."""
        return int(self._raw.total_changes)

    def values(self, query: str) -> list[Any]:
        """Return the first column of a query: a cheap read from outside that never fails."""
        if query not in self._looks:
            self._looks[query] = [row[0] for row in self._raw.execute(query)]
        return self._looks[query]

    def said(self) -> list[Said]:
        """Return all messages ever put into the outbox, in order, including dead letters."""
        with self.read() as transaction:
            rows = transaction.exec_driver_sql("SELECT exchange, routing_key, body FROM said ORDER BY number")
            return [
                Said(exchange=exchange, routing_key=key, message=Envelope.decode(event))
                for exchange, key, body in rows
                for event in decode_batch(bytes(body))
            ]
