"""Compares the custody key that partners find in the discovery document with the vault's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson


class AnnouncedKeyWatch:
    """A warning for `/readyz`: the vault cannot open cases that are sealed to a key that it does not have."""

    def __init__(self, discovery: Path, has: Callable[[str], bool]) -> None:
        """has: returns whether the vault has the custody key with this RFC 7638 thumbprint."""
        self._discovery = discovery
        self._has = has

    def alarm(self) -> str | None:
        """Return None while the vault has the announced key or none is announced, else what to do."""
        try:
            announced = orjson.loads(self._discovery.read_bytes())["custody_key"]["kid"]
        except (OSError, ValueError, KeyError, TypeError):
            return None  # intake then admits nothing, and reports it
        if isinstance(announced, str) and self._has(announced):
            return None
        return (
            f"the discovery document announces the custody key {announced}, which is not in this process's "
            "KOPURO_CUSTODY_KEY: cases sealed to it wait and cannot be opened. Give the vault the file with "
            "the announced key; restart it if it has a copy of the file"
        )
