"""Responses that peers read slowly: how many bytes may wait, for one address and in all.

A response stays in memory until its peer has taken it. Each is short for others, but some thousands of them
would fill the memory of the process.

An address may have at most a third of what all leave free. So one address alone gets a quarter of the whole.
If n addresses leave everything unread, each gets 1/(n+3) of the whole, and 3/(n+3) stay free. The next
address gets a quarter of these at once. The rule is that of a switch's shared buffer: A. K. Choudhury, E. L.
Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on
Networking 6 (2), 1998, with alpha = 1/3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# An address may leave unread what is free divided by this.
_FREE_TO_OWN: Final = 3
# Bytes. Smaller responses do not count: on all connections that a port admits they are some 40 MB together.
COUNTED: Final = 4 * 1024
MOST: Final = 192 * 1024 * 1024


class TooMuchUnread(Exception):
    """The address, or all peers together, have left too many bytes of responses unread."""


class Sending:
    """The large responses of one port that have not been taken yet. Shared among greenlets."""

    def __init__(self, *, most: int = MOST) -> None:
        """most: bytes of all addresses, without their first responses."""
        self._most = most
        self._of_one: Counter[str] = Counter()
        self._bytes = 0

    @contextmanager
    def of(self, origin: str, size: int) -> Iterator[None]:
        """Count a response of `size` bytes to an address during the block. Raises TooMuchUnread.

        An address that waits for no other large response gets this one, however large, and whatever others
        leave unread: they could keep it out otherwise.
        """
        own = self._of_one[origin]
        free = self._most - self._bytes - size
        if own and _FREE_TO_OWN * (own + size) > free:
            raise TooMuchUnread
        self._of_one[origin] += size
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
            self._of_one[origin] -= size
            if not self._of_one[origin]:
                del self._of_one[origin]
