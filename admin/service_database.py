"""A service's database, opened by an operator's command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.database_url import UnusableDatabaseUrl
from runtime.tls import DATABASE, TlsFiles, UnusableTlsFiles, tls_files


@contextmanager
def service_database(url: str, tls: TlsFiles | None = None) -> Iterator[Database]:
    """Open the database for the block.

    tls: the files for TLS; None: those that KOPURO_DATABASE_CA and so on name.

    Raises InvalidArgumentError for an unusable URL, and when the database cannot be used in the block.
    """
    try:
        database = Database.open(url, tls=tls or tls_files(DATABASE, os.environ))
    except UnusableDatabaseUrl as error:
        raise InvalidArgumentError(f"the database URL {error}") from None
    except UnusableTlsFiles as error:
        raise InvalidArgumentError(str(error)) from None
    try:
        yield database
    except DatabaseUnavailable as error:
        raise InvalidArgumentError(f"the database cannot be used: {error.reason()}") from None
    finally:
        database.close()
