"""Finds a time before which no message that still waits for the vault was sent: the start of a window.

A busy hub always has new messages in the queue or among the retries, so the counts need not be zero at once.
A message that was waiting when the window began is in the queue, among the retries or among the dead letters.
It has left all three when the queue was seen empty in the window, every retry began well after that, and no
dead letter was seen in the window. The last condition is needed because a retry that fails becomes a dead
letter, and a replayed message was one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

# Two counts that are further apart say nothing about the time between them.
MOST_BETWEEN = dt.timedelta(minutes=5)
# A message that is being processed is in no count. It is done with, or becomes a retry, within this time.
IN_PROGRESS = dt.timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingForVault:
    """The messages that wait for the vault now.

    dead_letters: also those in transit to the dead-letter queue. oldest_retry: when the oldest retry was
    first seen, None if there are no retries.
    """

    queued: int
    dead_letters: int
    oldest_retry: dt.datetime | None


class QuietWindow:
    """The window of one process; a new process starts a new one."""

    def __init__(self) -> None:
        self._began: dt.datetime | None = None
        self._counted_at: dt.datetime | None = None
        self._empty_at: dt.datetime | None = None

    def observe(self, waiting: WaitingForVault | None, now: dt.datetime) -> dt.datetime | None:
        """Return the beginning of the window, None while an earlier message may be waiting.

        waiting: None while the broker is unavailable. A dead letter, the broker's absence, a long pause
        between two calls or a clock that was set back begins another window.
        """
        earlier, self._counted_at = self._counted_at, now
        if earlier is None or not earlier <= now <= earlier + MOST_BETWEEN:
            self._began = None
        if waiting is None or waiting.dead_letters > 0:
            self._began = None
            return None
        if self._began is None:
            self._began, self._empty_at = now, None
        if self._empty_at is None and waiting.queued == 0:
            self._empty_at = now
        if self._empty_at is None:
            return None
        settled = self._empty_at + IN_PROGRESS
        is_retried = waiting.oldest_retry is not None and waiting.oldest_retry <= settled
        return self._began if now > settled and not is_retried else None
