"""Periodic work that is skipped while it would find nothing new.

Work that looks at the database finds the same as before until something is committed, or until the clock
reaches a time that is stored there. So most looks of an idle process can be skipped. `Database.version` shows
within some microseconds whether another process, such as an operator's command, has committed something.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from runtime.storage.database import Database, DatabaseUnavailable

# The pause between two runs without a reason, and the longest delay of a run skipped by mistake.
LONGEST_SECONDS: Final = 10.0


class ChangePoll:
    """Work for a `Periodic`, whose interval stays: after a commit the next call runs the work as before.

    Not safe for concurrent calls.
    """

    def __init__(
        self,
        database: Database,
        work: Callable[[], object],
        *,
        seconds: float = LONGEST_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """work: depends on the database and the clock.

        Changes of other values that it depends on are followed by a commit or by `wake`, or may wait for
        `seconds`. It returns whether the next call runs it even without a commit, because it was not
        finished or awaits a time.

        seconds: the longest time between two runs.
        """
        self._database = database
        self._work = work
        self._seconds = seconds
        self._now = now
        self._seen: object = None
        self._next_at = 0.0
        self._is_awaited = True

    def wake(self) -> None:
        """Make the next call run the work: something outside the database has changed."""
        self._is_awaited = True

    def __call__(self) -> bool:
        """Run the work unless it would find nothing new; return whether it ran.

        It also runs if the database does not report its version: the work then reports the fault. Raises what
        the work raises; the next call then runs it.
        """
        # Before the work: what is committed meanwhile makes the next call run it again.
        try:
            seen = self._database.version()
        except DatabaseUnavailable:
            seen = object()
        now = self._now()
        if seen == self._seen and now < self._next_at and not self._is_awaited:
            return False
        # A wake-up during the work counts for the next call. The version is kept only if the work succeeds.
        self._is_awaited, self._seen = False, None
        self._is_awaited = bool(self._work()) or self._is_awaited
        self._seen, self._next_at = seen, now + self._seconds
        return True
