"""The id of the hub's custody key, read from the discovery document. Cases are sealed to this key."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Unavailable


class AnnouncedCustodyKey:
    """Reads the document again after a change, so a key rotation needs no restart."""

    def __init__(self, discovery: Path) -> None:
        self._discovery = discovery
        self._read_at: int | None = None
        self._kid = ""

    def __call__(self) -> str:
        """Return the key's id (RFC 7638 thumbprint). Raises Unavailable while none is announced."""
        try:
            written_at = self._discovery.stat().st_mtime_ns
            if written_at != self._read_at:
                self._kid = orjson.loads(self._discovery.read_bytes())["custody_key"]["kid"]
                self._read_at = written_at
        except (OSError, ValueError, KeyError, TypeError):
            raise Unavailable("The hub has not announced its custody key yet.") from None
        return self._kid

    def unready(self) -> str | None:
        """Readiness check: return None once a key is announced, else the reason."""
        try:
            self()
        except Unavailable as error:
            return error.detail
        return None
