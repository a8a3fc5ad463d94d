"""`ports.Closures` in SQL: closed referrals and the erasure of openings."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    not_,
    select,
    update,
)

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.audit.adapters.tables import CLOSURES, ENTRIES, FACETS, OPENINGS
from services.audit.log.domain.retention import KEPT_TYPES, Closing

_NOTE = SqlStatement(
    "INSERT INTO closures (referral_id, closed_at, revoked, pending) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
# Unconditional, so that it locks the rows: see `due`.
_TOUCH = SqlStatement("UPDATE closures SET pending = TRUE WHERE referral_id = ANY (?)")
_REVOKE = update(CLOSURES).where(CLOSURES.c.referral_id == bindparam("revoked_id")).values(revoked=True)
_CONTENT = select(ENTRIES.c.leaf_index).where(
    ENTRIES.c.referral_id.in_(bindparam("referral_ids", expanding=True)),
    ENTRIES.c.leaf_index < bindparam("stop"),
    ENTRIES.c.type.not_in(sorted(KEPT_TYPES)),
)
_LATER_ENTRIES = select(ENTRIES.c.referral_id).where(
    ENTRIES.c.referral_id.in_(bindparam("referral_ids", expanding=True)),
    ENTRIES.c.leaf_index >= bindparam("stop"),
)
# Actor facets of services are kept: the leaf, which stays, names the service as well.
_IN_THE_LEAF = and_(FACETS.c.facet == "actor", FACETS.c.value.startswith("/"))
_ERASE_OPENINGS = delete(OPENINGS).where(OPENINGS.c.leaf_index.in_(bindparam("indices", expanding=True)))
_WITH_OPENINGS = (
    select(ENTRIES.c.referral_id)
    .join(OPENINGS, OPENINGS.c.leaf_index == ENTRIES.c.leaf_index)
    .where(ENTRIES.c.leaf_index.in_(bindparam("indices", expanding=True)))
)
_ERASE_FACETS = delete(FACETS).where(
    FACETS.c.leaf_index.in_(bindparam("indices", expanding=True)), not_(_IN_THE_LEAF)
)
_SETTLE = (
    update(CLOSURES)
    .where(CLOSURES.c.referral_id.in_(bindparam("referral_ids", expanding=True)))
    .values(pending=False)
)
_STEP: Final = 500


class SqlClosures:
    """`ports.Closures` over the tables of the log."""

    def note(
        self, transaction: Connection, closings: Sequence[Closing], referral_ids: Collection[str]
    ) -> None:
        """See `ports.Closures`."""
        if referral_ids:
            _TOUCH.run(transaction, sorted(referral_ids))
        if not closings:
            return
        # The first closing of a referral counts, and a revocation at any time.
        first: dict[str, Closing] = {}
        for closing in closings:
            first.setdefault(closing.referral_id, closing)
        _NOTE.run_for_each(
            transaction,
            [(c.referral_id, microseconds(c.time), c.revoked, True) for _, c in sorted(first.items())],
        )
        revoked = sorted({closing.referral_id for closing in closings if closing.revoked})
        if revoked:
            transaction.execute(_REVOKE, [{"revoked_id": referral_id} for referral_id in revoked])

    def due(self, transaction: Connection, closed_before: dt.datetime | None, limit: int) -> list[str]:
        """See `ports.Closures`."""
        # Two lookups in one index. A single query for both would scan every closed referral that is not due
        # yet, every second.
        found = _pending(transaction, CLOSURES.c.revoked, limit)
        if closed_before is not None and len(found) < limit:
            old = and_(not_(CLOSURES.c.revoked), CLOSURES.c.closed_at < closed_before)
            found += _pending(transaction, old, limit - len(found))
        return found

    def erase(self, transaction: Connection, referral_ids: Sequence[str], *, stop: int) -> dict[str, int]:
        """See `ports.Closures`."""
        span: dict[str, Any] = {"referral_ids": list(referral_ids), "stop": stop}
        indices = list(transaction.execute(_CONTENT, span).scalars())
        erased: Counter[str] = Counter()
        for at in range(0, len(indices), _STEP):
            step = {"indices": indices[at : at + _STEP]}
            erased.update(transaction.execute(_WITH_OPENINGS, step).scalars())
            transaction.execute(_ERASE_OPENINGS, step)
            transaction.execute(_ERASE_FACETS, step)
        not_settled = set(transaction.execute(_LATER_ENTRIES, span).scalars())
        settled = [referral_id for referral_id in referral_ids if referral_id not in not_settled]
        if settled:
            transaction.execute(_SETTLE, {"referral_ids": settled})
        return dict(erased)


def _pending(transaction: Connection, is_due: ColumnElement[bool], limit: int) -> list[str]:
    # Locked: a concurrent append is either visible below, or waits and makes the row pending again.
    wanted = select(CLOSURES.c.referral_id).where(CLOSURES.c.pending, is_due).limit(limit)
    return list(transaction.execute(wanted.with_for_update()).scalars())
