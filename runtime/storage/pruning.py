"""Deleting what is no longer needed, without anybody noticing.

However much there is (a service comes back after a month, a year's rows fall due on one day), a turn deletes
a bounded number of rows, in short transactions, and lets the others work between two of them. What is left
waits for the next turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from runtime.storage.database import Database

# Some milliseconds each, during which SQLite's one writer is busy.
ROWS_AT_ONCE: Final = 500
TRANSACTIONS_A_TURN: Final = 10

# forget(transaction, limit) -> how many of the oldest rows it deleted, at most `limit`
Forget = Callable[[Connection, int], int]


def prune(database: Database, forget: Forget) -> bool:
    """One turn; whether nothing was left to forget. Raises DatabaseUnavailable: the next turn goes on.

    A deletion may be done once more after a loss of power, and so does not wait for the disk.
    """
    for _ in range(TRANSACTIONS_A_TURN):
        with database.write(durable=False) as transaction:
            forgotten = forget(transaction, ROWS_AT_ONCE)
        if forgotten < ROWS_AT_ONCE:
            return True
        # SQLite never waits, and so never lets another greenlet run by itself.
        time.sleep(0)
    return False
