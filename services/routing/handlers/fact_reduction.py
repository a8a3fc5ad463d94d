"""Reduction of the facts of referrals that ended long ago, and of those whose consent was withdrawn."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Final

from runtime.clock import Clock
from runtime.storage.database import Database
from services.routing.domain.policy import RoutingPolicy
from services.routing.ports import FactReduction

# A referral has some three decisions and twenty timeline entries. A transaction takes some milliseconds.
REFERRALS_AT_ONCE: Final = 20
TRANSACTIONS_A_TURN: Final = 10


class ReduceFacts:
    """The use case of a timer. However many referrals are due, a turn reduces a bounded number of them."""

    def __init__(
        self,
        *,
        database: Database,
        reduction: FactReduction,
        policy: Callable[[], RoutingPolicy],
        clock: Clock,
        kept: dt.timedelta,
    ) -> None:
        """kept: how long the facts of a referral outlast its end."""
        self._database = database
        self._reduction = reduction
        self._policy = policy
        self._clock = clock
        self._kept = kept

    def turn(self) -> None:
        """Reduce some referrals that are due, and delete withdrawn offers that count no longer.

        Raises DatabaseUnavailable: the next turn continues. Raises Unavailable after the reduction as long as
        the policy is not loaded.
        """
        now = self._clock.now()
        self._reduce(now)
        counted_for = self._policy().offers_per_sender.withdrawn_for.longest
        with self._database.write(durable=False) as transaction:
            self._reduction.forget_withdrawn(transaction, now - counted_for)

    def _reduce(self, now: dt.datetime) -> None:
        for _ in range(TRANSACTIONS_A_TURN):
            # Not durable: after a loss of power the referrals are due again.
            with self._database.write(durable=False) as transaction:
                count = self._reduction.reduce(transaction, now - self._kept, now, REFERRALS_AT_ONCE)
            if count < REFERRALS_AT_ONCE:
                return
            # SQLite never blocks cooperatively, so other greenlets run only when we yield.
            time.sleep(0)
