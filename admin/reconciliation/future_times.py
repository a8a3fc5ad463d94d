"""Rows whose time is in the future. They look as if they had just changed, and are not compared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import BigInteger, Engine, literal, select, table
from sqlalchemy import column as named
from sqlalchemy.sql.selectable import TableClause

from admin.reconciliation.differences import Difference
from admin.reconciliation.service_tables import (
    APPLICATIONS,
    APPROVALS,
    CUSTODIES,
    DECISIONS,
    EMPLOYER_REPLIES,
    ENTRIES,
    MESSAGES,
    REFERRALS,
    REVISIONS,
    SEALING_KEYS,
    STATEMENTS,
    SUBMISSIONS,
    TIMELINE,
    TRANSIT_KEYS,
    WATCH_RECIPIENTS,
    WATCH_REPORTS,
    WEBHOOKS,
)
from admin.reconciliation.stored_values import NO_TIME, StoredTime
from contracts.moments import CLOCK_TOLERANCE
from runtime.storage.columns import microseconds

_COPIES: Final = table("unreceipted", named("number"), named("published_at", StoredTime))
# Keyed by service: the tables, the times that say whether a row is settled, and the columns that identify the
# row.
_TIMES: Final[dict[str, tuple[tuple[TableClause, str, tuple[str, ...]], ...]]] = {
    "audit": ((ENTRIES, "time", ("leaf_index",)),),
    "intake": (
        (SUBMISSIONS, "submitted_at", ("referral_id",)),
        (TRANSIT_KEYS, "published_at", ("kid",)),
    ),
    "routing": (
        (REFERRALS, "submitted_at", ("id",)),
        (REFERRALS, "updated_at", ("id",)),
        (TIMELINE, "time", ("referral_id", "number")),
        (DECISIONS, "decided_at", ("id",)),
        (STATEMENTS, "issued_at", ("organization", "month")),
    ),
    "vault": ((CUSTODIES, "changed_at", ("referral_id",)),),
    "delivery": (
        *((MESSAGES, time, ("sequence",)) for time in ("queued_at", "acknowledged_at", "closed_at")),
        (WEBHOOKS, "created_at", ("id",)),
    ),
    "directory": (
        (REVISIONS, "changed_at", ("subject", "id", "number")),
        (APPROVALS, "requested_at", ("id",)),
        (SEALING_KEYS, "since", ("organization", "number")),
        (WATCH_REPORTS, "reported_at", ("id",)),
        (WATCH_RECIPIENTS, "since", ("organization",)),
        (EMPLOYER_REPLIES, "at", ("watched_id",)),
        (APPLICATIONS, "submitted_at", ("id",)),
    ),
}
# The column with the id of the referral, in tables of referrals' rows.
_REFERRALS: Final = {
    "submissions": "referral_id",
    "referrals": "id",
    "timeline": "referral_id",
    "custodies": "referral_id",
    "mailbox_messages": "referral_id",
}


def future_times(service: str, engine: Engine) -> Iterator[Difference]:
    """Yield the service's rows whose time is later than now by more than CLOCK_TOLERANCE."""
    for source, time, key in (*_TIMES[service], (_COPIES, "published_at", ("number",))):
        latest = microseconds(dt.datetime.now(dt.UTC) + CLOCK_TOLERANCE)
        late = select(source).where(source.c[time] > literal(latest, BigInteger))
        with engine.connect() as connection:
            for row in connection.execute(late.order_by(*[source.c[part] for part in key])).mappings():
                yield _difference(service, source.name, time, key, row)


def _difference(service: str, source: str, time: str, key: tuple[str, ...], row: Any) -> Difference:
    moment = "beyond the calendar" if row[time] == NO_TIME else row[time].isoformat()
    referral = row[_REFERRALS[source]] if source in _REFERRALS else None
    return Difference(
        referral_id=referral or None,
        record=" ".join(map(str, (source, *(row[part] for part in key)))),
        where="log" if service == "audit" and source == ENTRIES.name else service,
        what=f"{time} of {source} is in the future: {moment}",
        index=row["leaf_index"] if source == ENTRIES.name else None,
    )
