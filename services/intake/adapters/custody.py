"""The ids of the hub's custody keys, read from the discovery document. Cases are sealed to the first.

"custody_key": {"kid", "x", ...},
"earlier_custody_keys": [{"kid": str, "accepted_until": RFC 3339}, ...]    only after a rotation
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson

from contracts.errors import Unavailable
from runtime.clock import Clock


class AnnouncedCustodyKeys:
    """Reads the document again after a change, so a key rotation needs no restart.

    A partner seals to the key of a document that it read some time ago. Therefore an earlier key is accepted
    for a while.
    """

    def __init__(self, discovery: Path, clock: Clock) -> None:
        self._discovery = discovery
        self._clock = clock
        self._read_at: int | None = None
        self._kid = ""
        self._earlier: dict[str, dt.datetime] = {}

    def __call__(self) -> Collection[str]:
        """Return the ids (RFC 7638 thumbprints) of the keys to which a case may be sealed now.

        Raises Unavailable while none is announced.
        """
        try:
            written_at = self._discovery.stat().st_mtime_ns
            if written_at != self._read_at:
                document = orjson.loads(self._discovery.read_bytes())
                self._kid = document["custody_key"]["kid"]
                self._earlier = dict(map(_earlier, document.get("earlier_custody_keys", ())))
                self._read_at = written_at
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise Unavailable("The hub has not announced its custody key yet.") from None
        now = self._clock.now()
        return {self._kid, *(kid for kid, until in self._earlier.items() if now < until)}

    def unready(self) -> str | None:
        """Readiness check: return None once a key is announced, else the reason."""
        try:
            self()
        except Unavailable as error:
            return error.detail
        return None


def _earlier(key: Any) -> tuple[str, dt.datetime]:
    until = dt.datetime.fromisoformat(key["accepted_until"])
    if until.tzinfo is None:
        raise ValueError("a time without a zone")
    return key["kid"], until
