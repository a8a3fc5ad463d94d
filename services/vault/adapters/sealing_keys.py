"""Organisations' sealing keys in memory, from the replica of the directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.facts import OrganizationChanged
from contracts.organization import SealingKey
from contracts.records import read
from runtime.messaging.replica import ReplicaRecord


class SealingKeysInMemory:
    """See `ports.SealingKeys`. Pass `absorb` to a replica."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """changed: called after new or changed records."""
        self._changed = changed
        self._keys: dict[str, SealingKey] = {}

    def of(self, organization: str) -> SealingKey | None:
        """See `ports.SealingKeys`."""
        return self._keys.get(organization)

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Apply new and changed records. A withdrawn key is removed."""
        for record in records:
            if record.type != OrganizationChanged.type:
                continue
            key = record.data["organization"].get("sealing_key")
            if key is None:
                self._keys.pop(record.key, None)
            else:
                self._keys[record.key] = read(SealingKey, key)
        self._changed()
