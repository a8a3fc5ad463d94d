"""The key to which cases for a hub are sealed. A hub replaces it, and accepts the earlier one for a day."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from kopuro_client.errors import ClientError
from kopuro_client.records import Jwk

MOST_SECONDS: Final = 3600.0  # how long a key is used without a look at the discovery document


class CustodyKey:
    """The hub's present custody key. Threads may share it."""

    def __init__(
        self, key: Jwk, look_up: Callable[[], Jwk] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """look_up: fetches the announced key, or raises ClientError. None: the key stays."""
        self._key = key
        self._look_up = look_up
        self._clock = clock
        self._seen_at = clock()

    def present(self) -> Jwk:
        """Return the key. Looks it up again after MOST_SECONDS; a failure leaves the known one in use."""
        if self._clock() - self._seen_at >= MOST_SECONDS:
            self.renew()
        return self._key

    def renew(self) -> bool:
        """Look the key up; return whether it has changed."""
        if self._look_up is None:
            return False
        before = self._key
        try:
            self._key = self._look_up()
        except ClientError:
            return False  # the request that needs the key will say what is wrong
        self._seen_at = self._clock()
        return self._key != before
