"""The connections that wait for a place on a full port, or beyond the limit of their address.

Otherwise a peer that opens a connection again as soon as it is closed would keep the process busy with
connections that are closed at once. It would also cause the kept connections of others behind its address to
be closed. So newcomers of one address get a place that another connection has to leave at a bounded rate, and
wait for it in the order of their arrival. A connection that waits costs a descriptor, and no processor time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from runtime.access.token_buckets import Allowance, TokenBuckets
from runtime.web.connections import Connection

# How many of its connections an address may replace by new ones. At that rate, each of 5,000 lives longer
# than a kept one may be idle.
_REPLACEMENTS: Final = Allowance(name="connections", burst=50, per_minute=3_000)
# Addresses share counters: many addresses cost no memory.
_COUNTERS: Final = 4_096


class ConnectionQueue:
    """Waiting connections by address. most: of all addresses; half of them may be of one."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._by_origin: dict[str, deque[Connection]] = {}
        self._count = 0
        self._replacements = TokenBuckets(_REPLACEMENTS, clock)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Connection]:
        for queue in self._by_origin.values():
            yield from list(queue)

    def may_replace(self, origin: str) -> bool:
        """Count a place that another connection leaves; return False if the address gets no more of them now.

        Ask it also before a newcomer is refused: refusals are slow in the same way.
        """
        return self._replacements.take(str(hash(origin) % _COUNTERS)) == 1

    def has(self, origin: str) -> bool:
        """Return whether connections of the address wait: a newcomer queues behind them."""
        return origin in self._by_origin

    def add(self, connection: Connection) -> bool:
        """Let a connection wait; return False if too many wait already."""
        queue = self._by_origin.get(connection.origin, deque())
        if self._count >= self._most or len(queue) >= max(1, self._most // 2):
            return False
        self._by_origin[connection.origin] = queue
        queue.append(connection)
        self._count += 1
        return True

    def first_of_each(self) -> list[Connection]:
        """Return the connection of each address that has waited longest."""
        return [queue[0] for queue in self._by_origin.values()]

    def remove_first(self, origin: str) -> None:
        """Remove the connection of the address that has waited longest."""
        queue = self._by_origin[origin]
        queue.popleft()
        self._count -= 1
        if not queue:
            del self._by_origin[origin]
