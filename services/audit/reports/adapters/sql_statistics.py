"""`ports.ReferralReader` in SQL: reads the referrals that statistics count from the log's openings."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, select

from services.audit.adapters.tables import ENTRIES, FACETS
from services.audit.log.ports import RECORD, Log, OpenedLeaf, StoredLeaf
from services.audit.reports.domain.statistics_counts import (
    ERASED,
    NOBODY,
    OPEN,
    SITUATION,
    UNKNOWN,
    UNPLACED,
    CountedReferral,
)

_ACCEPTED: Final = "kopuro.offer.accepted.v1"
_ANSWERED: Final = (_ACCEPTED, "kopuro.offer.declined.v1")
# The acceptance has ended, and the referral continues without an acceptor.
_UNHELD: Final = ("kopuro.acceptance.revoked.v1", "kopuro.referral.handed_back.v1")
_COMPLETED: Final = "kopuro.referral.completed.v1"
_ENDED: Final = {"kopuro.referral.withdrawn.v1": "withdrawn", "kopuro.referral.failed.v1": "failed"}
_LATER_TYPES: Final = frozenset({*_ANSWERED, *_UNHELD, _COMPLETED, *_ENDED})
# An organisation is asked again, and the referral is no longer unplaced.
_UNPLACED: Final = "kopuro.referral.unplaced.v1"
_OPENED: Final = "kopuro.offer.opened.v1"
# Facts use other names for two of the dimensions.
_STATED: Final = {"origin": "origin_country", "need": "needs"}

_HISTORY = (
    select(ENTRIES.c.leaf_index, ENTRIES.c.referral_id, ENTRIES.c.type)
    .where(
        ENTRIES.c.referral_id.in_(bindparam("referral_ids", expanding=True)),
        ENTRIES.c.leaf_index < bindparam("stop"),
    )
    .order_by(ENTRIES.c.leaf_index)
)
_LATEST_RECORDS = select(FACETS.c.value, FACETS.c.leaf_index).where(
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _LaterEntry:
    """An entry that follows the submission. data: None once erased."""

    index: int
    type: str
    time: dt.datetime
    data: Mapping[str, Any] | None


class SqlReferrals:
    """`ports.ReferralReader` over the tables of the log."""

    def __init__(self, log: Log) -> None:
        """log: reads the content, which it compares with the log first."""
        self._log = log

    def of(
        self, transaction: Connection, submitted: Sequence[StoredLeaf], *, stop: int
    ) -> list[CountedReferral]:
        """See `ports.ReferralReader`."""
        wanted = {"referral_ids": [leaf.referral_id for leaf in submitted], "stop": stop}
        rows = _relevant(transaction.execute(_HISTORY, wanted).all())
        indices = [leaf.index for leaf in submitted]
        opened = self._log.opened_at(transaction, indices + [row.leaf_index for row in rows])
        stated = {index: opened[index].data for index in indices}
        later: dict[str, list[_LaterEntry]] = defaultdict(list)
        for row in rows:
            later[row.referral_id].append(_later(opened[row.leaf_index]))
        kinds = self._kinds(transaction, {_acceptor(entries) for entries in later.values()}, stop)
        return [
            _referral(leaf, stated[leaf.index], later[leaf.referral_id], kinds)
            for leaf in submitted
            if leaf.referral_id is not None
        ]

    def _kinds(self, transaction: Connection, acceptors: Iterable[str | None], stop: int) -> dict[str, str]:
        organizations = sorted(filter(None, acceptors))
        if not organizations:
            return {}
        wanted = {"organizations": organizations, "stop": stop}
        latest = {row.value: row.leaf_index for row in transaction.execute(_LATEST_RECORDS, wanted)}
        opened = self._log.opened_at(transaction, sorted(latest.values()))
        records = {
            organization: data["organization"]
            for organization, index in latest.items()
            if (data := opened[index].data) is not None
        }
        # The index that led to the record is only a search key; the record itself is in the log.
        return {
            organization: record.get("kind", UNKNOWN)
            for organization, record in records.items()
            if record.get("id") == organization
        }


def _relevant(history: Sequence[Row[int, str, str]]) -> list[Row[int, str, str]]:
    """Return the entries that a count depends on. Offers count only if the referral was unplaced before."""
    unplaced = {row.referral_id: row.leaf_index for row in history if row.type == _UNPLACED}
    return [
        row
        for row in history
        if row.type in _LATER_TYPES
        or (
            row.type in (_UNPLACED, _OPENED)
            and row.referral_id in unplaced
            and row.leaf_index >= unplaced[row.referral_id]
        )
    ]


def _later(opened: OpenedLeaf) -> _LaterEntry:
    # Read from the leaf and its head, which the tree proves, and not from the search columns.
    leaf = opened.fields
    time = dt.datetime.fromisoformat(leaf["time"])
    return _LaterEntry(index=opened.index, type=leaf["type"], time=time, data=opened.data)


def _referral(
    leaf: StoredLeaf, stated: Mapping[str, Any] | None, later: Sequence[_LaterEntry], kinds: Mapping[str, str]
) -> CountedReferral:
    assert leaf.referral_id is not None
    answers = [row.time for row in later if row.type in _ANSWERED]
    entries = (leaf.index, *(row.index for row in later))
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


def _outcome(later: Sequence[_LaterEntry]) -> str:
    for row in reversed(later):
        if row.type == _COMPLETED:
            return str((row.data or {}).get("outcome", UNKNOWN))
        if row.type in _ENDED:
            return _ENDED[row.type]
    last = next((row.type for row in reversed(later) if row.type not in _UNHELD), None)
    return UNPLACED if last == _UNPLACED else OPEN


def _acceptor(later: Sequence[_LaterEntry]) -> str | None:
    for row in reversed(later):
        if row.type in _UNHELD:
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
