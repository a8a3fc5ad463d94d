"""Organisations' sealing keys in memory, from the replica of the directory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from contracts.facts import OrganizationChanged
from contracts.organization import SealingKey, SealingKeyChange
from contracts.records import read
from runtime.messaging.replica import ReplicaRecord


class SealingKeysInMemory:
    """See `ports.KnownSealingKeys`. Pass `absorb` to a replica."""

    def __init__(self, changed: Callable[[], None], *, pause: dt.timedelta) -> None:
        """changed: called after new or changed records. pause: after the replacement of a key."""
        self._pause = pause
        self._paused_until: dict[str, dt.datetime] = {}
        self._changed = changed
        self._keys: dict[str, SealingKey] = {}
        self._changes: dict[str, SealingKeyChange] = {}

    def of(self, organization: str) -> SealingKey | None:
        """See `ports.KnownSealingKeys`."""
        return self._keys.get(organization)

    def accepts(self, organization: str, kid: str, now: dt.datetime) -> bool:
        """See `ports.KnownSealingKeys`."""
        key, change = self._keys.get(organization), self._changes.get(organization)
        if key is not None and key.kid == kid:
            return True
        return key is not None and change is not None and change.accepts(kid, now)

    def paused_until(self, organization: str) -> dt.datetime | None:
        """See `ports.KnownSealingKeys`."""
        return self._paused_until.get(organization)

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Apply new and changed records. A withdrawn key is removed."""
        for record in records:
            if record.type != OrganizationChanged.type:
                continue
            organization = record.data["organization"]
            key, change = organization.get("sealing_key"), organization.get("sealing_key_change")
            self._paused_until.pop(record.key, None)
            self._changes.pop(record.key, None)
            if change is not None:
                changed = self._changes[record.key] = read(SealingKeyChange, change)
                if (until := changed.paused_until(self._pause)) is not None:
                    self._paused_until[record.key] = until
            if key is None:
                self._keys.pop(record.key, None)
            else:
                self._keys[record.key] = read(SealingKey, key)
        self._changed()
