"""Concurrent writes of two processes to one PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, text

from runtime.storage.database import Database

Write = Callable[[Connection], Any]

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def while_another_has_written(database: Database, first: Write, second: Write) -> None:
    """Run `second` while `first` is uncommitted, so that it waits; then commit `first`."""

    def follow() -> None:
        with database.write() as transaction:
            second(transaction)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as transaction:
            first(transaction)
            following = pool.submit(follow)
            deadline = time.monotonic() + 10
            while not _is_waiting(database):
                assert time.monotonic() < deadline
                assert not following.done(), "the second did not wait for the first"
        following.result(timeout=10)


def _is_waiting(database: Database) -> bool:
    with database.read() as transaction:
        return bool(transaction.execute(_WAITING).scalar_one())
