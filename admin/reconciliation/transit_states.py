"""The transit keys that intake seals to beside the log, which has each key that the vault published."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import Engine, select

from admin.reconciliation.differences import Difference
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.row_differences import row_difference
from admin.reconciliation.service_tables import TRANSIT_KEYS
from contracts.facts import TransitKeyPublished


class TransitStates:
    """The transit keys of intake, and those of the log."""

    def __init__(self, intake: Engine, entries: OpenedEntries) -> None:
        self._engine = intake
        self._entries = entries

    def differences(self, settled: dt.datetime, limit: int) -> Iterator[Difference]:
        """Yield the keys that the vault did not publish. settled: ignore later ones. limit: see `said`.

        Intake keeps the newest key only, and one that it missed is no difference.
        """
        with self._engine.connect() as connection:
            stored = connection.execute(select(TRANSIT_KEYS)).all()
        # The vault may publish a key again, at another time.
        logged: dict[str, set[tuple[str, dt.datetime]]] = defaultdict(set)
        for _, data in self._entries.said([TransitKeyPublished.type], limit):
            logged[data["kid"]].add((data["x"], dt.datetime.fromisoformat(data["published_at"])))
        for row in stored:
            if row.published_at <= settled and (row.x, row.published_at) not in logged[row.kid]:
                how = "was not published by the vault, according to the log"
                yield row_difference("transit key", row.kid, how, where="intake")
