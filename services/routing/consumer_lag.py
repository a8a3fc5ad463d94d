"""The consumer's lag: no offer should expire while its answer may still be in the queue."""

from __future__ import annotations

import datetime as dt

# A last-moment answer is still between intake and the queue when the deadline passes, so offers expire this
# much later.
ANSWERS_UNDER_WAY = dt.timedelta(seconds=1)
# Longer than a batch takes: without a batch for this time the queue is taken as empty.
QUIET = dt.timedelta(seconds=2)


class ConsumerLag:
    """The age of the batch read last, which reveals a backlog.

    This is only an estimate: an unreachable broker looks like an empty queue, and another process may read
    other partitions. It avoids most expiries that an answer in time takes back a moment later;
    `domain/offer.py` guarantees that such an answer counts whenever it is read.
    """

    def __init__(self) -> None:
        self._admitted: dt.datetime | None = None
        self._read_at: dt.datetime | None = None

    def note(self, admitted: dt.datetime, now: dt.datetime) -> None:
        """Record that a batch is being read. admitted: when the API received its oldest submission."""
        self._admitted, self._read_at = admitted, now

    def expiring(self, now: dt.datetime, longest_wait: dt.timedelta) -> dt.datetime:
        """Return the latest deadline that expires now. longest_wait: the most that a backlog may delay it."""
        read_up_to = now
        if self._admitted is not None and self._read_at is not None and now - self._read_at < QUIET:
            read_up_to = min(now, self._admitted)
        return max(read_up_to - ANSWERS_UNDER_WAY, now - longest_wait)
