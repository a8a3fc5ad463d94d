"""`ports.Unfiled` in SQL: adds facets and closings to entries that were appended before these existed."""

from __future__ import annotations

import orjson
from sqlalchemy import Connection, Text, bindparam, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite

from services.audit.adapters.tables import ENTRIES, FACETS, OPENINGS, UNFILED
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.leaf import fields_of
from services.audit.log.domain.opening import is_opened_by
from services.audit.log.domain.retention import closing_of
from services.audit.log.ports import Closures

_SPAN = select(UNFILED.c.start, UNFILED.c.stop).where(UNFILED.c.number == 1).with_for_update()
_MOVE = update(UNFILED).where(UNFILED.c.number == 1).values(start=bindparam("reached"))
# Locked: a concurrent erasure runs completely before this step, or after it and then finds the facets.
_OPENED = (
    select(OPENINGS.c.salt, type_coerce(OPENINGS.c.data, Text).label("text"), ENTRIES)
    .join(ENTRIES, ENTRIES.c.leaf_index == OPENINGS.c.leaf_index)
    .where(OPENINGS.c.leaf_index >= bindparam("start"), OPENINGS.c.leaf_index < bindparam("stop"))
    .order_by(OPENINGS.c.leaf_index)
    .with_for_update(of=OPENINGS, key_share=True, read=True)
)


class SqlUnfiled:
    """`ports.Unfiled` over the tables of `adapters.tables`."""

    def __init__(self, closures: Closures) -> None:
        self._closures = closures

    def file(self, transaction: Connection, limit: int) -> int:
        """See `ports.Unfiled`."""
        span = transaction.execute(_SPAN).one_or_none()
        if span is None or span.start >= span.stop:
            return 0
        reached = min(span.start + limit, span.stop)
        rows = [
            (row, orjson.loads(row.text))
            for row in transaction.execute(_OPENED, {"start": span.start, "stop": reached})
            # Other content is not what was logged: the inspection reports it.
            if is_opened_by(row.leaf, row.salt, row.text)
        ]
        facets = [
            {"facet": facet, "value": value, "leaf_index": row.leaf_index}
            for row, data in rows
            for facet, value in facets_of(row.type, fields_of(row.leaf, row.head)["actor"], data)
        ]
        if facets:
            dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
            transaction.execute(dialect.insert(FACETS).on_conflict_do_nothing(), facets)
        closings = [closing_of(row.type, row.referral_id, row.time, data) for row, data in rows]
        self._closures.note(transaction, [closing for closing in closings if closing], ())
        transaction.execute(_MOVE, {"reached": reached})
        left: int = span.stop - reached
        return left
