"""Released cases in delivery's database: ciphertext, each sealed to one organisation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from contracts.facts import CaseReleased
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import CASE_LETTERS, ENDED_ACCEPTANCES
from services.delivery.domain.closing import End
from services.delivery.ports import EndedAcceptance, ReleasedCase

_CLOSED = SqlStatement(
    "SELECT referral_id, closed_because, closed_at FROM case_letters"
    " WHERE referral_id = ANY (?) AND closed_at IS NOT NULL"
)

_KEEP = SqlStatement(
    "INSERT INTO case_letters (referral_id, organization, sealed_case, offer_id) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (referral_id) DO UPDATE SET organization = excluded.organization,"
    " sealed_case = excluded.sealed_case, offer_id = excluded.offer_id"
    " WHERE case_letters.closed_at IS NULL"
)

# The notice in the mailbox has the id of the message that released the case.
_NEWEST = SqlStatement(
    "SELECT referral_id, organization, max(message_id) FROM mailbox_messages"
    " WHERE referral_id = ANY (?) AND type = ? GROUP BY referral_id, organization"
)

# The case may already be released for the next acceptance. Earlier builds released cases without an offer.
_TAKE_BACK = SqlStatement(
    "UPDATE case_letters SET organization = NULL, sealed_case = NULL, offer_id = NULL"
    " WHERE referral_id = ? AND organization = ? AND (offer_id = ? OR offer_id IS NULL)"
)

_END = SqlStatement("INSERT INTO ended_acceptances (offer_id, ended_at) VALUES (?, ?) ON CONFLICT DO NOTHING")

_ENDED = SqlStatement("SELECT offer_id FROM ended_acceptances WHERE offer_id = ANY (?)")

_CLOSE = SqlStatement(
    "INSERT INTO case_letters (referral_id, closed_at, closed_because) VALUES (?, ?, ?)"
    " ON CONFLICT (referral_id) DO UPDATE"
    " SET organization = NULL, sealed_case = NULL, offer_id = NULL,"
    " closed_at = excluded.closed_at, closed_because = excluded.closed_because"
)


class SqlReleasedCases:
    """See `ports.ReleasedCases`."""

    def closed(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[str, End]:
        """See `ports.ReleasedCases`."""
        if not referral_ids:
            return {}
        return {
            # Earlier builds stored no reason. A withdrawal says the least.
            referral_id: End(reason=reason or "withdrawn", at=moment_of(closed_at))
            for referral_id, reason, closed_at in _CLOSED.run(transaction, list(referral_ids))
        }

    def keep(self, transaction: Connection, cases: Sequence[ReleasedCase]) -> None:
        """See `ports.ReleasedCases`."""
        _KEEP.run_for_each(
            transaction, [(one.referral_id, one.organization, one.case, one.offer_id) for one in cases]
        )

    def newest(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[tuple[str, str], str]:
        """See `ports.ReleasedCases`."""
        if not referral_ids:
            return {}
        rows = _NEWEST.run(transaction, sorted(referral_ids), CaseReleased.type)
        return {(referral_id, organization): message_id for referral_id, organization, message_id in rows}

    def case_for(self, transaction: Connection, referral_id: str, organization: str) -> str | None:
        """See `ports.ReleasedCases`."""
        return transaction.execute(
            select(CASE_LETTERS.c.sealed_case).where(
                CASE_LETTERS.c.referral_id == referral_id, CASE_LETTERS.c.organization == organization
            )
        ).scalar()

    def end(self, transaction: Connection, ended: Sequence[EndedAcceptance], now: dt.datetime) -> None:
        """See `ports.ReleasedCases`."""
        rows = sorted((one.referral_id, one.organization, one.offer_id) for one in ended)
        _TAKE_BACK.run_for_each(transaction, rows)
        ended_at = microseconds(now)
        _END.run_for_each(transaction, [(offer_id, ended_at) for _, _, offer_id in rows])

    def ended(self, transaction: Connection, offer_ids: Collection[str]) -> set[str]:
        """See `ports.ReleasedCases`."""
        return set(_ENDED.run(transaction, sorted(offer_ids)).scalars()) if offer_ids else set()

    def close(self, transaction: Connection, ended: Mapping[str, End]) -> None:
        """See `ports.ReleasedCases`."""
        _CLOSE.run_for_each(
            transaction, [(id_, microseconds(end.at), end.reason) for id_, end in sorted(ended.items())]
        )

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.ReleasedCases`."""
        table = CASE_LETTERS
        oldest = select(table.c.referral_id).where(table.c.closed_at < before).limit(limit)
        deleted = transaction.execute(delete(table).where(table.c.referral_id.in_(oldest))).rowcount
        past = ENDED_ACCEPTANCES
        earliest = select(past.c.offer_id).where(past.c.ended_at < before).limit(limit)
        return deleted + transaction.execute(delete(past).where(past.c.offer_id.in_(earliest))).rowcount
