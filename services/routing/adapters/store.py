"""The store of referrals on SQLAlchemy Core: a batch is a few statements, each for many rows."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, union, update
from sqlalchemy.dialects import postgresql, sqlite

from contracts.codes import OfferState, Outcome, ReferralStatus
from contracts.errors import Unavailable
from contracts.records import read
from contracts.referral import ReferralFacts
from services.routing.adapters.tables import DECISIONS, OBSERVATIONS, OFFERS, REFERRALS, TIMELINE
from services.routing.domain.decision import Decision
from services.routing.domain.observation import Observation
from services.routing.domain.offer import Offer
from services.routing.domain.referral import REFERRAL_TRANSITIONS, Referral
from services.routing.domain.timeline import TimelineEntry
from services.routing.domain.view import decision_record
from services.routing.ports import Changes

_OPEN_STATUSES = tuple(status for status, events in REFERRAL_TRANSITIONS.items() if events)


class SqlReferralStore:
    """See `ports.ReferralStore`."""

    def load(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """See `ports.ReferralStore`."""
        return self._read(transaction, ids, for_change=True)

    def view(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """See `ports.ReferralStore`."""
        return self._read(transaction, ids, for_change=False)

    def save(self, transaction: Connection, changes: Changes) -> None:
        """See `ports.ReferralStore`."""
        _save_referrals(transaction, changes)
        _save_offers(transaction, changes)
        _insert(transaction, DECISIONS, [_decision_row(decision) for decision in changes.decisions])
        _insert(transaction, TIMELINE, [_timeline_row(entry) for entry in changes.timeline])
        _add_observations(transaction, changes.observed)

    def due_offers(self, transaction: Connection, now: dt.datetime, limit: int) -> list[tuple[str, str]]:
        """See `ports.ReferralStore`."""
        rows = transaction.execute(
            select(OFFERS.c.referral_id, OFFERS.c.id)
            .where(OFFERS.c.state == "open", OFFERS.c.deadline <= now)
            .order_by(OFFERS.c.deadline)
            .limit(limit)
        )
        return [(row.referral_id, row.id) for row in rows]

    def due_referrals(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        return list(
            transaction.execute(
                select(REFERRALS.c.id)
                .where(REFERRALS.c.due_at.is_not(None), REFERRALS.c.due_at <= now)
                .order_by(REFERRALS.c.due_at)
                .limit(limit)
            ).scalars()
        )

    def timeline(self, transaction: Connection, referral_id: str) -> list[TimelineEntry]:
        """See `ports.ReferralStore`."""
        rows = transaction.execute(
            select(TIMELINE).where(TIMELINE.c.referral_id == referral_id).order_by(TIMELINE.c.number)
        )
        return [
            TimelineEntry(
                referral_id=row.referral_id,
                time=row.time,
                fact=row.fact,
                organization=row.organization,
                detail=row.detail,
            )
            for row in rows
        ]

    def decisions(self, transaction: Connection, referral_id: str) -> list[Mapping[str, Any]]:
        """See `ports.ReferralStore`."""
        wanted = select(DECISIONS.c.record).where(DECISIONS.c.referral_id == referral_id)
        return list(transaction.execute(wanted.order_by(DECISIONS.c.id)).scalars())

    def page(
        self,
        transaction: Connection,
        *,
        party: str | None,
        status: str | None,
        after: str | None,
        limit: int,
    ) -> list[Referral]:
        """See `ports.ReferralStore`."""
        wanted = select(REFERRALS.c.id)
        if party is not None:
            asked = select(OFFERS.c.referral_id).where(OFFERS.c.organization == party)
            sent = select(REFERRALS.c.id).where(REFERRALS.c.sender == party)
            wanted = wanted.where(REFERRALS.c.id.in_(union(sent, asked)))
        if status is not None:
            wanted = wanted.where(REFERRALS.c.status == status)
        if after is not None:
            wanted = wanted.where(REFERRALS.c.id > after)
        ids = list(transaction.execute(wanted.order_by(REFERRALS.c.id).limit(limit)).scalars())
        found = self.view(transaction, ids)
        return [found[referral_id] for referral_id in ids]

    def offer_parties(self, transaction: Connection, offer_id: str) -> tuple[str, str] | None:
        """See `ports.ReferralStore`."""
        wanted = select(OFFERS.c.referral_id, OFFERS.c.organization).where(OFFERS.c.id == offer_id)
        row = transaction.execute(wanted).first()
        return (row.referral_id, row.organization) if row else None

    def observations(self, transaction: Connection) -> dict[str, Observation]:
        """See `ports.ReferralStore`."""
        return {
            row.organization: Observation(
                answered=row.answered,
                expired=row.expired,
                answer_seconds=row.answer_seconds,
                held=row.held,
                asked=row.asked,
            )
            for row in transaction.execute(select(OBSERVATIONS))
        }

    def counts(self, transaction: Connection) -> Iterable[tuple[str, int]]:
        """See `ports.ReferralStore`."""
        rows = transaction.execute(
            select(REFERRALS.c.status, func.count())
            .where(REFERRALS.c.status.in_(_OPEN_STATUSES))
            .group_by(REFERRALS.c.status)
        )
        return [(row[0], row[1]) for row in rows]

    def _read(
        self, transaction: Connection, ids: Collection[str], *, for_change: bool
    ) -> dict[str, Referral]:
        if not ids:
            return {}
        # Ordered, so that two processes that lock several referrals cannot wait for each other.
        wanted = select(REFERRALS).where(REFERRALS.c.id.in_(ids)).order_by(REFERRALS.c.id)
        if for_change:
            wanted = wanted.with_for_update()
        rows = transaction.execute(wanted).all()
        offers: dict[str, list[Offer]] = defaultdict(list)
        made = select(OFFERS).where(OFFERS.c.referral_id.in_([row.id for row in rows]))
        for row in transaction.execute(made.order_by(OFFERS.c.id)):
            offers[row.referral_id].append(_offer(row))
        return {row.id: _referral(row, offers[row.id]) for row in rows}


def _save_referrals(transaction: Connection, changes: Changes) -> None:
    new = [_referral_row(r) for r in changes.after if r.id not in changes.before]
    changed = [
        {"key": r.id, **_mutable(r)}
        for r in changes.after
        if r.id in changes.before and r != changes.before[r.id]
    ]
    _insert(transaction, REFERRALS, new)
    if changed:
        statement = update(REFERRALS).where(REFERRALS.c.id == bindparam("key"))
        transaction.execute(statement, changed)


def _save_offers(transaction: Connection, changes: Changes) -> None:
    known = {offer.id: offer for referral in changes.before.values() for offer in referral.offers}
    offers = [offer for referral in changes.after for offer in referral.offers]
    _insert(transaction, OFFERS, [_offer_row(offer) for offer in offers if offer.id not in known])
    closed: dict[tuple[OfferState, OfferState, dt.datetime | None, str | None], list[str]] = defaultdict(list)
    for offer in offers:
        if offer.id in known and offer != (before := known[offer.id]):
            closed[before.state, offer.state, offer.closed_at, offer.reason].append(offer.id)
    # Compare and swap: an offer leaves a state once, whoever else tries at the same moment. One statement
    # for each way to close (few in a batch): psycopg2 cannot count the rows of an executemany.
    for (left, state, closed_at, reason), ids in closed.items():
        result = transaction.execute(
            update(OFFERS)
            .where(OFFERS.c.id.in_(ids), OFFERS.c.state == left.value)
            .values(state=state, closed_at=closed_at, reason=reason)
        )
        if result.rowcount != len(ids):
            raise Unavailable("An offer was closed by another process at the same moment.")


def _add_observations(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    if not observed:
        return
    dialect = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
    statement = dialect(OBSERVATIONS)
    names = ("answered", "expired", "answer_seconds", "held", "asked")
    added = statement.on_conflict_do_update(
        index_elements=[OBSERVATIONS.c.organization],
        set_={name: OBSERVATIONS.c[name] + statement.excluded[name] for name in names},
    )
    # Ordered, as above: two processes must not lock the same rows crosswise.
    transaction.execute(
        added,
        [
            {"organization": organization, **{name: getattr(seen, name) for name in names}}
            for organization, seen in sorted(observed.items())
        ],
    )


def _insert(transaction: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        transaction.execute(insert(table), rows)


def _referral_row(referral: Referral) -> dict[str, Any]:
    return {
        "id": referral.id,
        "sender": referral.sender,
        "facts": referral.facts,
        "correlation_id": referral.correlation_id,
        "submitted_at": referral.submitted_at,
        **_mutable(referral),
    }


def _mutable(referral: Referral) -> dict[str, Any]:
    return {
        "status": referral.status,
        "acceptor": referral.acceptor,
        "outcome": referral.outcome,
        "updated_at": referral.updated_at,
        "due_at": referral.due_at,
    }


def _offer_row(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.id,
        "referral_id": offer.referral_id,
        "organization": offer.organization,
        "service": offer.service,
        "rank": offer.rank,
        "state": offer.state,
        "opened_at": offer.opened_at,
        "deadline": offer.deadline,
        "closed_at": offer.closed_at,
        "reason": offer.reason,
    }


def _decision_row(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "referral_id": decision.referral_id,
        "decided_at": decision.decided_at,
        "record": decision_record(decision),
    }


def _timeline_row(entry: TimelineEntry) -> dict[str, Any]:
    return {
        "referral_id": entry.referral_id,
        "time": entry.time,
        "fact": entry.fact,
        "organization": entry.organization,
        "detail": entry.detail,
    }


def _referral(row: Row[Any], offers: Iterable[Offer]) -> Referral:
    return Referral(
        id=row.id,
        sender=row.sender,
        facts=read(ReferralFacts, row.facts),
        status=ReferralStatus(row.status),
        submitted_at=row.submitted_at,
        updated_at=row.updated_at,
        correlation_id=row.correlation_id,
        acceptor=row.acceptor,
        outcome=Outcome(row.outcome) if row.outcome else None,
        due_at=row.due_at,
        offers=tuple(offers),
    )


def _offer(row: Row[Any]) -> Offer:
    return Offer(
        id=row.id,
        referral_id=row.referral_id,
        organization=row.organization,
        service=row.service,
        rank=row.rank,
        state=OfferState(row.state),
        opened_at=row.opened_at,
        deadline=row.deadline,
        closed_at=row.closed_at,
        reason=row.reason,
    )
