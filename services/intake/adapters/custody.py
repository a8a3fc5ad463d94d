"""The hub's custody key, as the discovery document announces it: the key that cases are sealed to."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Unavailable


class AnnouncedCustodyKey:
    """Reads the document again when it has been replaced: a key rotation needs no restart."""

    def __init__(self, discovery: Path) -> None:
        self._discovery = discovery
        self._read_at: int | None = None
        self._kid = ""

    def __call__(self) -> str:
        """The key's id (RFC 7638 thumbprint). Raises Unavailable while none is announced."""
        try:
            written_at = self._discovery.stat().st_mtime_ns
            if written_at != self._read_at:
                self._kid = orjson.loads(self._discovery.read_bytes())["custody_key"]["kid"]
                self._read_at = written_at
        except (OSError, ValueError, KeyError, TypeError):
            raise Unavailable("The hub has not announced its custody key yet.") from None
        return self._kid

    def unready(self) -> str | None:
        """A readiness check: None once a key is announced."""
        try:
            self()
        except Unavailable as error:
            return error.detail
        return None
