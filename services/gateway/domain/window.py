"""The window of an organisation: the part of its mailbox that is in its queue at the broker.

The mailbox in delivery's database is authoritative. The gateway copies waiting messages into the queue, in
the order of the mailbox, and acknowledges them there when the broker has shown that the organisation has
acknowledged them. AMQP reports a single acknowledgement to the consumer only, and a consumer may acknowledge
in any order. So a count of the remaining messages says which ones are left only when it is zero, or when the
gateway itself has taken as many of them from the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

# The most messages that wait in an organisation's queue; the queue itself refuses more.
CAPACITY: Final = 500
# Refill when this many places are free: a page of the mailbox costs the same for one message as for many.
LEAST_FREE: Final = 100
# If this many copied messages have no proved acknowledgement, copying pauses until the queue is empty...
MOST_UNPROVED: Final = 2 * CAPACITY
# ...but no longer than this: an emergency must not wait for a message that a consumer never acknowledges.
LONGEST_PAUSE: Final = 60.0
# The broker publishes a count some time after it has counted. The first change of a count that is seen after
# a copy may have been counted before it; the second one was not.
CHANGES_NEEDED: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """The broker's last count of a queue. messages: waiting, and delivered but not acknowledged.

    mark: differs between two counts of the broker; equal for two readings of one count.
    """

    messages: int
    mark: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The copied messages that are not proved to be acknowledged, in the order of the mailbox.

    cursor: of the mailbox, after the last copied message; None before the first. closed: those of the copied
    ids that stand for an erased message. mark, changes: the last count's mark, and how often it has changed
    since the last copy. full_since: when copying paused to wait for a proof; seconds of a monotonic clock.
    """

    copied: tuple[str, ...] = ()
    cursor: str | None = None
    closed: frozenset[str] = frozenset()
    mark: int | None = None
    changes: int = 0
    full_since: float | None = None

    def with_copies(
        self, message_ids: Sequence[str], cursor: str | None, *, closed: frozenset[str] = frozenset()
    ) -> Window:
        """Return the window after the broker has confirmed copies of these messages.

        cursor: after the last of them. closed: those that stand for an erased message.
        """
        return replace(
            self,
            copied=(*self.copied, *message_ids),
            cursor=self.cursor if cursor is None else cursor,
            closed=self.closed | closed,
            mark=None,
            changes=0,
        )

    def counted(self, count: Count) -> tuple[Window, tuple[str, ...]]:
        """Return the window after a count, and the ids whose acknowledgement it proves.

        A count of zero messages after the last copy proves that all copies are acknowledged. The queue has no
        limit of time or of deliveries, so only its reader and the gateway can remove a message.
        """
        if self.mark is None:
            return replace(self, mark=count.mark), ()
        if count.mark == self.mark:
            return self, ()
        changes = self.changes + 1
        if count.messages > 0 or changes < CHANGES_NEEDED:
            return replace(self, mark=count.mark, changes=changes), ()
        proved = replace(
            self, copied=(), closed=frozenset(), mark=count.mark, changes=changes, full_since=None
        )
        return proved, self.copied

    def can_be_looked_at(self, count: Count, waiting: int) -> bool:
        """Return whether a look at the waiting messages may prove something.

        count: the last one that `counted` got. waiting: messages that the broker has not delivered, exactly.
        """
        is_fresh = count.mark == self.mark and self.changes >= CHANGES_NEEDED
        return is_fresh and 0 < count.messages == waiting < len(self.copied)

    def looked_at(self, count: Count, held: Sequence[str]) -> tuple[Window, tuple[str, ...]]:
        """Return the window after a look, and the ids whose acknowledgement it proves.

        held: the ids of the messages that the gateway took at one time and gave back. The number of messages
        in the queue only falls until the next copy, so as many as were counted are all that are left.
        """
        if len(held) != count.messages:
            return self, ()
        left = frozenset(held)
        proved = tuple(one for one in self.copied if one not in left)
        copied = tuple(one for one in self.copied if one in left)
        return replace(self, copied=copied, closed=self.closed & left, full_since=None), proved

    def free(self, waiting: int, now: float) -> tuple[Window, int]:
        """Return the window, and how many messages may be copied now.

        waiting: messages that the broker has not delivered, exactly. now: seconds of a monotonic clock.
        """
        places = max(0, CAPACITY - waiting)
        if places < LEAST_FREE:
            return self, 0
        if len(self.copied) < MOST_UNPROVED:
            return replace(self, full_since=None), places
        if self.full_since is None:
            return replace(self, full_since=now), 0
        return self, places if now - self.full_since >= LONGEST_PAUSE else 0

    def lingering(self, closed: frozenset[str]) -> frozenset[str]:
        """Return which messages that the hub has closed were copied with their content.

        closed: the ids of closed messages that the mailbox still shows as waiting.
        """
        return (closed & frozenset(self.copied)) - self.closed


def rebuilt() -> Window:
    """Return the window of a queue that is empty because the gateway emptied it.

    It begins with the oldest message that is not acknowledged. Messages that were copied before are copied
    again, with the same id: a new connection cannot tell whether the queue is still the same one.
    """
    return Window()
