"""`ports.ReferralReader` in SQL: reads the referrals that statistics count from the log's openings."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, select

from services.audit.adapters.tables import ENTRIES, FACETS, OPENINGS
from services.audit.log.ports import RECORD, StoredLeaf
from services.audit.reports.domain.statistics_counts import (
    ERASED,
    NOBODY,
    OPEN,
    SITUATION,
    UNKNOWN,
    CountedReferral,
)

_ACCEPTED: Final = "kopuro.offer.accepted.v1"
_ANSWERED: Final = (_ACCEPTED, "kopuro.offer.declined.v1")
_REVOKED: Final = "kopuro.acceptance.revoked.v1"
_COMPLETED: Final = "kopuro.referral.completed.v1"
_ENDED: Final = {"kopuro.referral.withdrawn.v1": "withdrawn", "kopuro.referral.failed.v1": "failed"}
_LATER_TYPES: Final = frozenset({*_ANSWERED, _REVOKED, _COMPLETED, *_ENDED})
# Facts use other names for two of the dimensions.
_STATED: Final = {"origin": "origin_country", "need": "needs"}

_HISTORY = (
    select(ENTRIES.c.leaf_index, ENTRIES.c.referral_id, ENTRIES.c.type, ENTRIES.c.time, OPENINGS.c.data)
    # The types restrict the join and not the search: SQLite would otherwise scan the whole log by type.
    .outerjoin(
        OPENINGS,
        and_(OPENINGS.c.leaf_index == ENTRIES.c.leaf_index, ENTRIES.c.type.in_(sorted(_LATER_TYPES))),
    )
    .where(
        ENTRIES.c.referral_id.in_(bindparam("referral_ids", expanding=True)),
        ENTRIES.c.leaf_index < bindparam("stop"),
    )
    .order_by(ENTRIES.c.leaf_index)
)
_STATEMENTS = select(OPENINGS.c.leaf_index, OPENINGS.c.data).where(
    OPENINGS.c.leaf_index.in_(bindparam("indices", expanding=True))
)
_LATEST_RECORDS = (
    select(FACETS.c.value, OPENINGS.c.data)
    .join(OPENINGS, OPENINGS.c.leaf_index == FACETS.c.leaf_index)
    .where(
        FACETS.c.facet == RECORD,
        FACETS.c.leaf_index
        == select(func.max((latest := FACETS.alias("latest")).c.leaf_index))
        .where(
            latest.c.facet == RECORD,
            latest.c.value == FACETS.c.value,
            latest.c.leaf_index < bindparam("stop"),
        )
        .scalar_subquery(),
        FACETS.c.value.in_(bindparam("organizations", expanding=True)),
    )
)


class SqlReferrals:
    """`ports.ReferralReader` over the tables of the log."""

    def of(
        self, transaction: Connection, submitted: Sequence[StoredLeaf], *, stop: int
    ) -> list[CountedReferral]:
        """See `ports.ReferralReader`."""
        indices = [leaf.index for leaf in submitted]
        stated = {row.leaf_index: row.data for row in transaction.execute(_STATEMENTS, {"indices": indices})}
        later: dict[str, list[Any]] = defaultdict(list)
        wanted = {"referral_ids": [leaf.referral_id for leaf in submitted], "stop": stop}
        for row in transaction.execute(_HISTORY, wanted):
            if row.type in _LATER_TYPES:
                later[row.referral_id].append(row)
        kinds = self._kinds(transaction, {_acceptor(rows) for rows in later.values()}, stop)
        return [
            _referral(leaf, stated.get(leaf.index), later[leaf.referral_id], kinds)
            for leaf in submitted
            if leaf.referral_id is not None
        ]

    def _kinds(self, transaction: Connection, acceptors: Iterable[str | None], stop: int) -> dict[str, str]:
        organizations = sorted(filter(None, acceptors))
        if not organizations:
            return {}
        rows = transaction.execute(_LATEST_RECORDS, {"organizations": organizations, "stop": stop})
        return {row.value: row.data["organization"].get("kind", UNKNOWN) for row in rows}


def _referral(
    leaf: StoredLeaf, stated: Mapping[str, Any] | None, later: Sequence[Any], kinds: Mapping[str, str]
) -> CountedReferral:
    assert leaf.referral_id is not None
    answers = [row.time for row in later if row.type in _ANSWERED]
    entries = (leaf.index, *(row.leaf_index for row in later))
    if stated is None:
        erased = dict.fromkeys(SITUATION, (ERASED,))
        answered = _since(leaf.time, answers)
        return CountedReferral(
            referral_id=leaf.referral_id,
            situation=erased,
            outcome=ERASED,
            organization_kind=ERASED,
            answered=answered,
            entries=entries,
        )
    acceptor = _acceptor(later)
    return CountedReferral(
        referral_id=leaf.referral_id,
        situation={name: _values(stated.get("facts"), name) for name in SITUATION},
        outcome=_outcome(later),
        organization_kind=NOBODY if acceptor is None else kinds.get(acceptor, UNKNOWN),
        answered=_since(leaf.time, answers),
        entries=entries,
    )


def _outcome(later: Sequence[Any]) -> str:
    for row in reversed(later):
        if row.type == _COMPLETED:
            return str((row.data or {}).get("outcome", UNKNOWN))
        if row.type in _ENDED:
            return _ENDED[row.type]
    return OPEN


def _acceptor(later: Sequence[Any]) -> str | None:
    for row in reversed(later):
        if row.type == _REVOKED:
            return None
        if row.type == _ACCEPTED and row.data is not None:
            organization = row.data.get("organization")
            return organization if isinstance(organization, str) else None
    return None


def _since(submitted: dt.datetime, answers: Sequence[dt.datetime]) -> dt.timedelta | None:
    # The two times come from different clocks: never report a negative duration.
    return max(min(answers) - submitted, dt.timedelta()) if answers else None


def _values(facts: object, dimension: str) -> tuple[str, ...]:
    value = facts.get(_STATED.get(dimension, dimension)) if isinstance(facts, Mapping) else None
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(text for text in values if isinstance(text, str))
