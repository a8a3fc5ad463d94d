"""The stored content of a database, for tests that data is not stored."""

from sqlalchemy import MetaData, select

from runtime.storage.database import Database


def stored_values(database: Database, metadata: MetaData) -> str:
    """Return every value of every row of every table, one a line."""
    with database.read() as transaction:
        return "\n".join(
            value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            for table in metadata.sorted_tables
            for row in transaction.execute(select(table))
            for value in row
        )
