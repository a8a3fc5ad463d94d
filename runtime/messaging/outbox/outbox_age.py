"""The age of the oldest event in the outbox, by the event's own time.

The depth of an outbox says little. Ten thousand messages of the last second mean a busy hub. One message that
is an hour old means a referral that nobody is asked about.
"""

from __future__ import annotations

import datetime as dt

import orjson
from sqlalchemy import Connection

from runtime.clock import Clock
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox


class OutboxAge:
    """The age of one outbox. The body of a message is read once, not at every look."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        # The row number of the oldest message and the time of its first event.
        self._oldest: tuple[int, dt.datetime] | None = None

    def look(self, transaction: Connection) -> float:
        """Return the age in seconds; 0 when no message waits. Raises DatabaseUnavailable."""
        oldest = self.oldest(transaction)
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest).total_seconds())

    def oldest(self, transaction: Connection) -> dt.datetime | None:
        """Return the time of the oldest event, None when no message waits. Raises DatabaseUnavailable."""
        number = self._outbox.first(transaction)
        if number is None:
            self._oldest = None
            return None
        if self._oldest is None or self._oldest[0] != number:
            # A dead letter may not be an event; its age then counts from our first look at it.
            self._oldest = (
                number,
                _time_of(self._outbox.body(transaction, number)) or self._clock.now(),
            )
        return self._oldest[1]


def _time_of(body: bytes | None) -> dt.datetime | None:
    """Return the time of a message's first event, None for a message that is not an event."""
    try:
        moment = dt.datetime.fromisoformat(orjson.loads(next(iter(decode_batch(body or b""))))["time"])
    except (ValueError, TypeError, KeyError, StopIteration):
        return None
    return moment if moment.tzinfo is not None else None
