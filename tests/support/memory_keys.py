"""A key store in memory, which outlives the simulated process that uses it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from services.vault.ports import KeyKind


class MemoryKeys:
    """See `services.vault.ports.KeyStore`."""

    def __init__(self) -> None:
        self.secrets: dict[KeyKind, dict[str, bytes]] = {kind: {} for kind in KeyKind}
        self._made: dict[str, dt.datetime] = {}

    def add(self, kind: KeyKind, keys: Mapping[str, bytes], now: dt.datetime) -> None:
        self.secrets[kind] |= keys
        self._made |= dict.fromkeys(keys, now)

    def get(self, kind: KeyKind, ids: Collection[str]) -> dict[str, bytes]:
        return {id_: self.secrets[kind][id_] for id_ in ids if id_ in self.secrets[kind]}

    def made_before(self, kind: KeyKind, moment: dt.datetime) -> list[str]:
        return sorted(id_ for id_ in self.secrets[kind] if self._made[id_] < moment)

    def destroy(self, kind: KeyKind, ids: Collection[str]) -> None:
        for id_ in ids:
            self.secrets[kind].pop(id_, None)

    def truncate(self) -> bool:
        return True
