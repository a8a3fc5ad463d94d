"""Order and retries of messages on their way to a target.

The messages of one referral form a lane. Within a lane a message is sent only after the one before it was
accepted; lanes do not wait for each other. So a message that the target keeps refusing holds back the rest
of its own referral and nothing else, and none is ever skipped.

While the target seems to be down, nothing is sent for a while after each failure. The pauses grow only once
everything that is ready has been tried, and offers are tried first: they are useless after their deadline.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kopuro_client.records import Message

# Seconds before a lane's next attempt: doubled by each failure of its first message.
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 60.0
# Seconds for which nothing is sent, once several lanes have failed without a sign that the target is up.
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 10.0
# Messages in memory. When they are so many, no more are read until some are accepted.
MOST_HELD: Final = 1000
_OFFER: Final = "kopuro.offer.opened."  # the prefix of every version


def jitter() -> float:
    """Return a random part of a delay, so that listeners of one target do not try in step."""
    return random.uniform(0.5, 1.0)  # noqa: S311 - no secret


@dataclass(slots=True)
class _Lane:
    messages: deque[tuple[int, Message]]
    failures: int = 0  # failed attempts of its first message


class Lanes:
    """The messages that were read and not accepted yet. Times are seconds of any monotonic clock.

    jitter: returns the factor of a delay, 0 to 1.
    """

    def __init__(self, *, jitter: Callable[[], float] = jitter) -> None:
        self._jitter = jitter
        self._lanes: dict[str, _Lane] = {}
        # Failures, number of the first message, lane: what has not failed goes first, in the mailbox's order,
        # so that no number of failing lanes keeps the others waiting.
        self._ready: list[tuple[int, int, str]] = []
        # The same of those lanes whose first message is an offer that has not failed.
        self._offers: list[tuple[int, int, str]] = []
        self._later: list[tuple[float, int, str]] = []  # when it is due, number, lane
        self._numbers = 0
        self._held = 0
        self._failing: set[str] = set()  # the lanes that failed since the last success
        self._pauses = 0  # since the last success, once nothing that was ready was untried
        self._paused_until = 0.0

    @property
    def free(self) -> int:
        """How many more messages may be added."""
        return max(0, MOST_HELD - self._held)

    def __len__(self) -> int:
        return self._held

    def add(self, message: Message) -> None:
        """Add a message behind the others of its lane. Messages must come in the order of the mailbox."""
        self._numbers += 1
        self._held += 1
        key = _lane_of(message)
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = _Lane(deque([(self._numbers, message)]))
            self._push(0, self._numbers, key)
        else:
            lane.messages.append((self._numbers, message))

    def due(self, now: float) -> Message | None:
        """Return the next message to send; None if none may be sent now."""
        if now < self._paused_until:
            return None
        while self._later and self._later[0][0] <= now:
            _, number, key = heapq.heappop(self._later)
            self._push(self._lanes[key].failures, number, key)
        heap = self._first()
        return self._lanes[heap[0][2]].messages[0][1] if heap else None

    def wait(self, now: float, longest: float) -> float:
        """Return the seconds until a message may be sent, at most `longest`."""
        if self._ready or self._offers:
            until = self._paused_until
        elif self._later:
            until = max(self._later[0][0], self._paused_until)
        else:
            return longest
        return min(longest, max(0.0, until - now))

    def accepted(self) -> int:
        """Remove the message that `due` returned last; return how many attempts had failed."""
        _, _, key = heapq.heappop(self._first())
        lane = self._lanes[key]
        failures = lane.failures
        lane.messages.popleft()
        lane.failures = 0
        self._held -= 1
        if lane.messages:
            self._push(0, lane.messages[0][0], key)
        else:
            del self._lanes[key]
        self._is_up()
        return failures

    def failed(self, now: float, *, refused: bool = False) -> int:
        """Put off the lane of the message that `due` returned last; return its failed attempts so far.

        refused: the target is up, and refused this message.
        """
        _, number, key = heapq.heappop(self._first())
        lane = self._lanes[key]
        lane.failures += 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(lane.failures - 1, 30))
        heapq.heappush(self._later, (now + delay * self._jitter(), number, key))
        if refused:
            self._is_up()
            return lane.failures
        self._failing.add(key)
        if len(self._failing) > 1:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._pauses, 30))
            self._paused_until = now + pause * self._jitter()
            if not self._offers and not (self._ready and self._ready[0][0] == 0):
                self._pauses += 1
        return lane.failures

    def _push(self, failures: int, number: int, key: str) -> None:
        is_offer = self._lanes[key].messages[0][1]["type"].startswith(_OFFER)
        heapq.heappush(self._offers if is_offer and failures == 0 else self._ready, (failures, number, key))

    def _first(self) -> list[tuple[int, int, str]]:
        """Return the heap whose first entry is sent next: in the mailbox's order, unless something fails."""
        if not self._offers or not self._ready:
            return self._offers or self._ready
        return self._offers if self._failing else min(self._offers, self._ready)

    def _is_up(self) -> None:
        self._failing.clear()
        self._pauses = 0
        self._paused_until = 0.0


def _lane_of(message: Message) -> str:
    """Return what the message must keep its order with: its referral; for others their partition key."""
    return str(message.get("partitionkey") or message["id"])
