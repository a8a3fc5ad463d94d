"""Responses that peers read slowly: how many bytes may wait, for one address and in all.

A response stays in memory until its peer has taken it. Each is short for others, but some thousands of them
would fill the memory of the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Bytes. Smaller responses do not count: on all connections that a port admits they are some 40 MB together.
COUNTED: Final = 4 * 1024
MOST_OF_ONE: Final = 48 * 1024 * 1024
MOST: Final = 192 * 1024 * 1024


class TooMuchUnread(Exception):
    """The address, or all peers together, have left too many bytes of responses unread."""


class Sending:
    """The large responses of one port that have not been taken yet. Shared among greenlets."""

    def __init__(self, *, most_of_one: int = MOST_OF_ONE, most: int = MOST) -> None:
        """most_of_one: bytes of one address; most: of all."""
        self._most_of_one = most_of_one
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
        if own and (own + size > self._most_of_one or self._bytes + size > self._most):
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
