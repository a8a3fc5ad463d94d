"""Pruning in bounded runs that let other writers in between their transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, delete, insert, select

from runtime.storage.database import Database
from runtime.storage.pruning import ROWS_AT_ONCE, TRANSACTIONS_A_TURN, prune
from tests.storage.ledger import ENTRIES, count, opened

A_TURN = ROWS_AT_ONCE * TRANSACTIONS_A_TURN


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def fill(database: Database, rows: int) -> None:
    with database.write() as transaction:
        transaction.execute(insert(ENTRIES), [{"number": n, "text": "old"} for n in range(rows)])


def forget(transaction: Connection, limit: int) -> int:
    oldest = select(ENTRIES.c.number).where(ENTRIES.c.text == "old").order_by(ENTRIES.c.number).limit(limit)
    return transaction.execute(delete(ENTRIES).where(ENTRIES.c.number.in_(oldest))).rowcount


def test_pruning_run_ends_with_rows_left(database: Database) -> None:
    fill(database, A_TURN + 3)

    assert not prune(database, forget)
    assert count(database) == 3
    assert prune(database, forget)
    assert count(database) == 0
    assert prune(database, forget)


def test_pruning_holds_no_transaction_between_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 2 * ROWS_AT_ONCE)
    written = 0

    def let_others_run(seconds: float) -> None:
        nonlocal written
        written += 1
        # If the turn still had an open transaction, this would block itself.
        with database.write() as transaction:
            transaction.execute(insert(ENTRIES), {"number": A_TURN + written, "text": "new"})

    monkeypatch.setattr(time, "sleep", let_others_run)

    assert prune(database, forget)
    assert written == 2
    assert count(database) == 2
