"""The URL of a database: SQLite, or PostgreSQL by psycopg2, which cooperates with eventlet (ADR 0004)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS: Final = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg2")


class UnusableDatabaseUrl(ArgumentError):
    """A text is not the URL of a usable database: the end of a sentence that begins with what holds the text.

    It never repeats the text, which may contain a password.
    """


def parsed_database_url(text: str) -> URL:
    """Return the parsed URL. Raises UnusableDatabaseUrl, for another database or driver too."""
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise UnusableDatabaseUrl("is not an SQLAlchemy URL") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise UnusableDatabaseUrl("is not a SQLite or PostgreSQL URL")
    if parsed.drivername not in _DRIVERS:
        raise UnusableDatabaseUrl("must begin with postgresql+psycopg2:// or sqlite:///")
    return parsed
