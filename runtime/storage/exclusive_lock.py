"""A lock that one process at a time holds, for the lifetime of its database connection."""

from __future__ import annotations

from sqlalchemy import Connection, func, literal, select

from runtime.storage.database import Database, DatabaseUnavailable, translated


class ExclusiveLock:
    """PostgreSQL: a session-level advisory lock on a connection of its own.

    The lock ends with its connection, so a killed process releases it. A holder whose connection broke may do
    one more step before it notices, concurrently with the next holder: work under the lock must be
    repeatable. SQLite: a database belongs to one process, which always holds every lock.
    """

    def __init__(self, database: Database, number: int) -> None:
        """number: identifies the lock within the database; any unused 63-bit integer."""
        self._database = database
        self._number = number
        self._connection: Connection | None = None
        self._is_held = False

    def held(self) -> bool:
        """Take the lock if it is free; return whether we hold it. Raises DatabaseUnavailable."""
        if self._database.engine.dialect.name != "postgresql":
            return True
        try:
            with translated():
                if self._connection is None:
                    self._connection = self._database.engine.connect()
                    # No transaction stays open between statements: it would hold back VACUUM.
                    self._connection.execution_options(isolation_level="AUTOCOMMIT")
                # Once taken, the lock is held as long as the connection works.
                check = literal(True) if self._is_held else func.pg_try_advisory_lock(self._number)
                self._is_held = bool(self._connection.execute(select(check)).scalar_one())
        except DatabaseUnavailable:
            self.release()
            raise
        return self._is_held

    def release(self) -> None:
        """Release the lock."""
        connection, self._connection, self._is_held = self._connection, None, False
        if connection is not None:
            # Do not return it to the pool, where the next user would hold the lock.
            connection.invalidate()
            connection.close()
