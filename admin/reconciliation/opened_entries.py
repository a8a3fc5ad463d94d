"""Entries of the log with their content, after both were compared with the log's commitments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from services.audit.adapters.tables import ENTRIES
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.opening import ContentMismatch
from services.audit.log.ports import OpenedLeaf


class OpenedEntries:
    """Reads audit's database. mismatches: the entries whose leaf or content is not what was logged.

    Nothing of those is compared.
    """

    def __init__(self, engine: Engine, log: SqlLog) -> None:
        self._engine = engine
        self._log = log
        self.mismatches: dict[int, ContentMismatch] = {}

    def pages(
        self, types: Sequence[str], limit: int, *, since: dt.datetime | None = None
    ) -> Iterator[list[OpenedLeaf]]:
        """Yield the entries of these types that match, in the order of the log.

        limit: entries per query. since: only entries of later events.
        """
        # A damaged index may be negative.
        after = 1 - 2**63
        with self._engine.connect() as connection:
            while True:
                wanted = select(ENTRIES.c.leaf_index).where(
                    ENTRIES.c.type.in_(types), ENTRIES.c.leaf_index > after
                )
                if since is not None:
                    wanted = wanted.where(ENTRIES.c.time > since)
                read = connection.execute(wanted.order_by(ENTRIES.c.leaf_index).limit(limit)).scalars()
                indices = [index for index in read if index > after]
                if not indices:
                    return
                after = max(indices)
                opened = self._opened(connection, indices)
                yield [opened[index] for index in indices if index in opened]

    def said(self, types: Sequence[str], limit: int) -> Iterator[tuple[Mapping[str, Any], Any]]:
        """Yield the fields, with the index, and the data of the entries of these types that have content.

        limit: entries per query.
        """
        for page in self.pages(types, limit):
            for opened in page:
                if opened.data is not None:
                    yield {**opened.fields, "index": opened.index}, opened.data

    def of_messages(self, message_ids: Sequence[str]) -> tuple[list[OpenedLeaf], set[tuple[str, str]]]:
        """Return the entries of these messages that match, and the id and type of those that do not."""
        wanted = select(ENTRIES.c.leaf_index, ENTRIES.c.message_id, ENTRIES.c.type)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted.where(ENTRIES.c.message_id.in_(message_ids))).all()
            opened = self._opened(connection, [row.leaf_index for row in rows])
        others = {(row.message_id, row.type) for row in rows if row.leaf_index not in opened}
        return list(opened.values()), others

    def of_referrals(self, referral_ids: Sequence[str], types: Sequence[str]) -> list[OpenedLeaf]:
        """Return the entries of these types and referrals that match, in the order of the log."""
        wanted = select(ENTRIES.c.leaf_index).where(
            ENTRIES.c.referral_id.in_(referral_ids), ENTRIES.c.type.in_(types)
        )
        with self._engine.connect() as connection:
            indices = list(connection.execute(wanted.order_by(ENTRIES.c.leaf_index)).scalars())
            opened = self._opened(connection, indices)
        return [opened[index] for index in indices if index in opened]

    def at(self, indices: Sequence[int], limit: int) -> dict[int, OpenedLeaf]:
        """Return the entries that match, by their indices. limit: entries per query."""
        found: dict[int, OpenedLeaf] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(indices), limit):
                found |= self._opened(connection, indices[start : start + limit])
        return found

    def _opened(self, connection: Connection, indices: Sequence[int]) -> dict[int, OpenedLeaf]:
        left = [index for index in indices if index not in self.mismatches]
        while True:
            try:
                return self._log.opened_at(connection, left)
            except ContentMismatch as mismatch:
                self.mismatches[mismatch.index] = mismatch
                left.remove(mismatch.index)
