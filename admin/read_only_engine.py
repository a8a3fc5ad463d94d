"""A connection to a service's database that cannot write."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.event import listen

from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database_url import UnusableDatabaseUrl, parsed_database_url
from runtime.storage.sqlite_temporary import keep_temporary_files_beside
from runtime.tls import DATABASE, TlsFiles, UnusableTlsFiles, tls_files


def open_read_only(url: str, tls: TlsFiles | None = None) -> Engine:
    """Return an engine that cannot write. url: in the form of KOPURO_DATABASE_URL.

    tls: the files for TLS; None: those that KOPURO_DATABASE_CA and so on name. Raises InvalidArgumentError if
    these or the URL are unusable.
    """
    try:
        parsed = parsed_database_url(url)
    except UnusableDatabaseUrl as error:
        raise InvalidArgumentError(f"the database URL {error}") from None
    if parsed.get_backend_name() == "sqlite":
        keep_temporary_files_beside(parsed.database)
        file = f"file:{quote(parsed.database or '')}"
        parsed = parsed.set(database=file, query={"mode": "ro", "uri": "true"})
        engine = create_engine(parsed, hide_parameters=True)
        listen(engine, "connect", _read_damaged_texts)
        return engine
    try:
        tls = tls or tls_files(DATABASE, os.environ)
    except UnusableTlsFiles as error:
        raise InvalidArgumentError(str(error)) from None
    options = {
        "options": "-c default_transaction_read_only=on",
        **({} if tls is None else tls.libpq_options()),
    }
    return create_engine(parsed, connect_args=options, hide_parameters=True)


def _read_damaged_texts(connection: Any, _record: object) -> None:
    """Read texts that are not UTF-8 with escapes: the driver's error would end the whole query."""
    connection.text_factory = lambda text: text.decode(errors="backslashreplace")
