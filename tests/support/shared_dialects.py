"""One SQLAlchemy dialect and one cache of compiled statements for all databases of a kind in this process.

An engine has both to itself. A service opens one database and keeps it. A test process opens thousands, and
would compile the same statements for each of them and ask each server for its version again. That takes a
sixth of the CPU time of the tests that use databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import Dialect
from sqlalchemy.util import LRUCache

from admin import read_only_engine
from runtime.storage.database import Database

# More statements than all services have.
_STATEMENTS: Final = 10_000


class SharedDialects:
    """The first dialect of each kind that a connection has initialised, and its compiled statements."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], Engine] = {}
        self._compiled: dict[tuple[str, str], LRUCache[Any, Any]] = {}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Give every database that is opened within the block the dialect of its kind.

        Databases that commands open to read have a dialect of their own: its options differ.
        """
        open_own = Database.open

        def open_shared(url: str, **options: Any) -> Database:
            database = open_own(url, **options)
            self.give(database.engine)
            return database

        def create_shared(*arguments: Any, **options: Any) -> Engine:
            engine = create_engine(*arguments, **options)
            self.give(engine, options="read only")
            return engine

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "open", open_shared)
            patch.setattr(read_only_engine, "create_engine", create_shared)
            yield

    def give(self, engine: Engine, *, options: str = "") -> None:
        """Replace the dialect of an engine that has not connected yet; its own one still connects.

        options: a name for those of the engine. Only engines with the same ones share a dialect.
        """
        own = engine.dialect
        kind = own.name, options
        first = self._first.setdefault(kind, engine)
        if not _is_initialized(first.dialect):
            self._first[kind] = engine
            return
        compiled = self._compiled.setdefault(kind, LRUCache(_STATEMENTS))
        engine.dialect = first.dialect
        engine._compiled_cache = compiled
        own.initialize = _known  # type: ignore[method-assign,assignment]


def _is_initialized(dialect: Dialect) -> bool:
    return dialect.server_version_info is not None


def _known(_connection: object) -> None:
    """Ask the server for nothing: the shared dialect knows it."""
