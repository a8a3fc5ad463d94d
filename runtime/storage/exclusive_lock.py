"""A right that one process at a time has, for as long as its connection to the database lives."""

from __future__ import annotations

from sqlalchemy import Connection, func, literal, select

from runtime.storage.database import Database, DatabaseUnavailable, translated


class ExclusiveLock:
    """PostgreSQL: a session-level advisory lock on a connection of its own.

    The lock ends with that connection: a holder that is killed holds nothing any more. A holder whose
    connection broke may go on for one more step before it notices, beside the next holder: what is done
    under the lock must bear being done twice. SQLite: a database belongs to one process, which holds
    every right.
    """

    def __init__(self, database: Database, number: int) -> None:
        """number: names the right within the database; any 63-bit integer that nothing else uses."""
        self._database = database
        self._number = number
        self._connection: Connection | None = None
        self._ours = False

    def held(self) -> bool:
        """Whether the right is ours; takes it when it is free. Raises DatabaseUnavailable."""
        if self._database.engine.dialect.name != "postgresql":
            return True
        try:
            with translated():
                if self._connection is None:
                    self._connection = self._database.engine.connect()
                    # Between two statements no transaction stands open, holding back the vacuum.
                    self._connection.execution_options(isolation_level="AUTOCOMMIT")
                # Once the lock is ours, it is ours for as long as the connection answers.
                question = literal(True) if self._ours else func.pg_try_advisory_lock(self._number)
                self._ours = bool(self._connection.execute(select(question)).scalar_one())
        except DatabaseUnavailable:
            self.release()
            raise
        return self._ours

    def release(self) -> None:
        """Gives the right up."""
        connection, self._connection, self._ours = self._connection, None, False
        if connection is not None:
            # Not back to the pool, where the next user would hold the lock.
            connection.invalidate()
            connection.close()
