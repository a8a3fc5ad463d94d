"""The verification keys of bearer tokens, replicated from the directory's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.facts import TokenKeyChanged
from runtime.access.tokens import JwkSet
from runtime.messaging.replica import ReplicaRecord


class TokenKeys:
    """The key set. Pass it to a `TokenVerifier` as `keys`, and `absorb` to a replica."""

    def __init__(self) -> None:
        self._by_kid: dict[str, Mapping[str, Any]] = {}
        self._set: JwkSet = {}

    def __call__(self) -> JwkSet:
        """Return the public keys as a JWK set (RFC 7517 §5); {} before any record of a key has arrived."""
        return self._set

    def absorb(self, records: Sequence[ReplicaRecord]) -> bool:
        """Add new and changed keys and remove withdrawn ones; return whether one was withdrawn."""
        changed = [record for record in records if record.type == TokenKeyChanged.type]
        for record in changed:
            if record.data.get("withdrawn"):
                self._by_kid.pop(record.key, None)
            else:
                self._by_kid[record.key] = record.data["key"]
        if changed:
            self._set = {"keys": list(self._by_kid.values())}
        return any(record.data.get("withdrawn") for record in changed)
