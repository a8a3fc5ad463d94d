"""Compares the custody key that partners find in the discovery document with the vault's own."""

from __future__ import annotations

from pathlib import Path

import orjson


class AnnouncedKeyWatch:
    """A warning for `/readyz`: the vault cannot open cases that are sealed to any other key than its own."""

    def __init__(self, discovery: Path, kid: str) -> None:
        """kid: the RFC 7638 thumbprint of the vault's custody key."""
        self._discovery = discovery
        self._kid = kid

    def alarm(self) -> str | None:
        """Return None while the announced key is the vault's or none is announced, else what to do."""
        try:
            announced = orjson.loads(self._discovery.read_bytes())["custody_key"]["kid"]
        except (OSError, ValueError, KeyError, TypeError):
            return None  # then intake admits nothing, and says so
        if announced == self._kid:
            return None
        return (
            f"the discovery document announces the custody key {announced}, but KOPURO_CUSTODY_KEY of this "
            f"process is {self._kid}: cases sealed to the announced key cannot be opened. Name the file of "
            "the announced key and restart the vault"
        )
