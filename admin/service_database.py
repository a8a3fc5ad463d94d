"""A service's database, opened by an operator's command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import ArgumentError

from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import Database, DatabaseUnavailable


@contextmanager
def service_database(url: str) -> Iterator[Database]:
    """Open the database for the block.

    Raises InvalidArgumentError for a text that is no URL, and when the database cannot be used in the block.
    """
    try:
        database = Database.open(url)
    except ArgumentError:
        raise InvalidArgumentError("--database is not an SQLAlchemy URL") from None
    try:
        yield database
    except DatabaseUnavailable as error:
        raise InvalidArgumentError(f"the database cannot be used: {error.reason()}") from None
    finally:
        database.close()
