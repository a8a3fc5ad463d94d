"""Pruning of old rows without disturbing other work.

A run deletes a bounded number of rows, in short transactions, and lets other work proceed in between. This
holds however many rows are due, for example after a month's downtime. The rest waits for the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from runtime.storage.database import Database

# A transaction takes some milliseconds, during which SQLite's only writer is busy.
ROWS_AT_ONCE: Final = 500
TRANSACTIONS_A_TURN: Final = 10

# forget(transaction, limit) -> how many of the oldest rows it deleted, at most `limit`
Forget = Callable[[Connection, int], int]


def prune(database: Database, forget: Forget) -> bool:
    """Do one run; return whether nothing is left. Raises DatabaseUnavailable: the next run continues.

    The deletions are not durable, because they may be repeated after a loss of power.
    """
    for _ in range(TRANSACTIONS_A_TURN):
        with database.write(durable=False) as transaction:
            forgotten = forget(transaction, ROWS_AT_ONCE)
        if forgotten < ROWS_AT_ONCE:
            return True
        # SQLite never blocks cooperatively, so other greenlets run only when we yield.
        time.sleep(0)
    return False
