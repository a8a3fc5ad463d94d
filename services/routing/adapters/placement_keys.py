"""Idempotency-Keys of placements in routing's database."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection

from contracts.idempotency_key import KEYS_KEPT
from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement

_USED = SqlStatement("SELECT content, submission_id FROM placement_keys WHERE coordinator = ? AND key = ?")
_USE = SqlStatement(
    "INSERT INTO placement_keys (coordinator, key, content, submission_id, used_at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_FORGET = SqlStatement("DELETE FROM placement_keys WHERE used_at < ?")


class SqlPlacementKeys:
    """See `ports.PlacementKeys`."""

    def used(self, transaction: Connection, coordinator: str, key: str) -> tuple[str, str] | None:
        """See `ports.PlacementKeys`."""
        row = _USED.run(transaction, coordinator, key).first()
        return None if row is None else (row[0], row[1])

    def use(
        self,
        transaction: Connection,
        coordinator: str,
        key: str,
        *,
        content: str,
        submission_id: str,
        now: dt.datetime,
    ) -> bool:
        """See `ports.PlacementKeys`."""
        # Placements are made by hand, so few rows are ever due.
        _FORGET.run(transaction, microseconds(now - KEYS_KEPT))
        used = _USE.run(transaction, coordinator, key, content, submission_id, microseconds(now))
        return used.rowcount == 1
