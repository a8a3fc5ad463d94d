"""How far routing has read: no offer shall expire over an answer that lies a little further on."""

from __future__ import annotations

import datetime as dt

# An answer given in the last moment is still under way, through intake and the broker, when the deadline
# strikes: the offer expires a little later, and the answer that was in time is taken.
ANSWERS_UNDER_WAY = dt.timedelta(seconds=1)
# Longer than a batch takes: when nothing has been read for so long, nothing was there to be read.
QUIET = dt.timedelta(seconds=2)


class ConsumerLag:
    """What was read last, and when: a backlog is recognised by the age of what is being read.

    An estimate, and only that: a broker that cannot be reached looks like an empty queue, and another
    process may read other partitions. What it spares is offers that expire and are taken back a moment
    later; that an answer in time counts whenever it is read is `domain/offer.py`'s doing.
    """

    def __init__(self) -> None:
        self._admitted: dt.datetime | None = None
        self._read_at: dt.datetime | None = None

    def note(self, admitted: dt.datetime, now: dt.datetime) -> None:
        """A batch is being read. admitted: when its oldest submission reached a door."""
        self._admitted, self._read_at = admitted, now

    def expiring(self, now: dt.datetime, longest_wait: dt.timedelta) -> dt.datetime:
        """Up to which deadline offers expire now. longest_wait: a backlog holds back none for longer."""
        read_up_to = now
        if self._admitted is not None and self._read_at is not None and now - self._read_at < QUIET:
            read_up_to = min(now, self._admitted)
        return max(read_up_to - ANSWERS_UNDER_WAY, now - longest_wait)
