"""Reduction of the facts of referrals that ended long ago, and of those whose consent was withdrawn."""

from __future__ import annotations

import datetime as dt
import time
from typing import Final

from runtime.clock import Clock
from runtime.storage.database import Database
from services.routing.ports import FactReduction

# A referral has some three decisions and twenty timeline entries. A transaction takes some milliseconds.
REFERRALS_AT_ONCE: Final = 20
TRANSACTIONS_A_TURN: Final = 10


class ReduceFacts:
    """The use case of a timer. However many referrals are due, a turn reduces a bounded number of them."""

    def __init__(
        self, *, database: Database, reduction: FactReduction, clock: Clock, kept: dt.timedelta
    ) -> None:
        """kept: how long the facts of a referral outlast its end."""
        self._database = database
        self._reduction = reduction
        self._clock = clock
        self._kept = kept

    def turn(self) -> None:
        """Reduce some referrals that are due. Raises DatabaseUnavailable: the next turn continues."""
        now = self._clock.now()
        for _ in range(TRANSACTIONS_A_TURN):
            # Not durable: after a loss of power the referrals are due again.
            with self._database.write(durable=False) as transaction:
                count = self._reduction.reduce(transaction, now - self._kept, now, REFERRALS_AT_ONCE)
            if count < REFERRALS_AT_ONCE:
                return
            # SQLite never blocks cooperatively, so other greenlets run only when we yield.
            time.sleep(0)
