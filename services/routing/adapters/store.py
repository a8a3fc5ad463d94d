"""The referral store on SQLAlchemy Core: a batch runs a few statements, each for many rows."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, Select, delete, select

from contracts.codes import OfferState, Outcome, ReferralStatus
from contracts.errors import Unavailable
from contracts.facts import CaseUnreadable
from contracts.records import dump
from contracts.vocabularies import country_of, need_group
from runtime.storage.columns import microseconds, moment_of
from services.routing.adapters import demand, engagements, full_services, seeking, statements
from services.routing.adapters.fact_reduction import mark_revoked
from services.routing.adapters.network_figures import network_figures
from services.routing.adapters.pages import page_of
from services.routing.adapters.queues import queue_page
from services.routing.adapters.tables import (
    DECISIONS,
    OBSERVATIONS,
    OFFERS,
    SUSPENDED_ACCEPTORS,
    TIMELINE,
)
from services.routing.domain.chain import Chain
from services.routing.domain.coordination_queue import (
    QueueFilter,
    QueueKind,
    QueuePosition,
    priority_of,
)
from services.routing.domain.directory import Reach
from services.routing.domain.engagements import Engagements
from services.routing.domain.network_figures import NetworkFigures
from services.routing.domain.observation import Observation
from services.routing.domain.offer import Offer
from services.routing.domain.recorded_decision import RecordedDecision
from services.routing.domain.reduced_facts import facts_of, is_reduced
from services.routing.domain.referral import Referral
from services.routing.domain.timeline import TimelineEntry
from services.routing.domain.waiting import Queue, WaitingReferral
from services.routing.ports import Changes


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
        statements.NEW_DECISION.run_for_each(
            transaction, [_decision_values(one) for one in changes.decisions]
        )
        statements.NEW_ENTRY.run_for_each(transaction, [_timeline_values(one) for one in changes.timeline])
        mark_revoked(transaction, changes.timeline)
        demand.save_waiting(transaction, changes)
        seeking.save(transaction, changes)
        _add_observations(transaction, changes.observed)
        demand.add(transaction, changes.observed)
        full_services.save(transaction, changes.observed)

    def due_offers(self, transaction: Connection, now: dt.datetime, limit: int) -> list[tuple[str, str]]:
        """See `ports.ReferralStore`."""
        return [(row[0], row[1]) for row in statements.DUE_OFFERS.run(transaction, microseconds(now), limit)]

    def due_referrals(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        return [
            referral_id
            for (referral_id,) in statements.DUE_REFERRALS.run(transaction, microseconds(now), limit)
        ]

    def offered_to(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        rows = statements.OFFERED_TO.run(transaction, sorted(organizations), limit)
        return [referral_id for (referral_id,) in rows]

    def held_by(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        rows = statements.HELD_BY.run(transaction, sorted(organizations), limit)
        return [referral_id for (referral_id,) in rows]

    def note_suspended(self, transaction: Connection, acceptors: Mapping[str, str]) -> set[str]:
        """See `ports.ReferralStore`."""
        noted = select(SUSPENDED_ACCEPTORS).where(SUSPENDED_ACCEPTORS.c.referral_id.in_(acceptors))
        known = {(row.referral_id, row.organization) for row in transaction.execute(noted)}
        new = {pair for pair in acceptors.items() if pair not in known}
        if new:
            transaction.execute(
                SUSPENDED_ACCEPTORS.insert(),
                [{"referral_id": referral, "organization": acceptor} for referral, acceptor in sorted(new)],
            )
        return {referral_id for referral_id, _ in new}

    def noted_suspended(self, transaction: Connection) -> set[str]:
        """See `ports.ReferralStore`."""
        return set(transaction.execute(select(SUSPENDED_ACCEPTORS.c.organization).distinct()).scalars())

    def forget_suspended(self, transaction: Connection, organizations: Collection[str]) -> None:
        """See `ports.ReferralStore`."""
        table = SUSPENDED_ACCEPTORS
        transaction.execute(delete(table).where(table.c.organization.in_(organizations)))

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
        wanted = select(DECISIONS.c.record).where(
            DECISIONS.c.referral_id == referral_id, DECISIONS.c.erased_at.is_(None)
        )
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
        wanted = page_of(party=party, status=status, after=after, limit=limit)
        ids = list(transaction.execute(wanted).scalars())
        found = self.view(transaction, ids)
        return [found[referral_id] for referral_id in ids]

    def coordination_page(
        self,
        transaction: Connection,
        kind: QueueKind,
        now: dt.datetime,
        wanted: QueueFilter,
        *,
        after: QueuePosition | None,
        limit: int,
    ) -> list[Referral]:
        """See `ports.ReferralStore`."""
        ids = list(transaction.execute(queue_page(kind, now, wanted, after=after, limit=limit)).scalars())
        found = self.view(transaction, ids)
        return [found[referral_id] for referral_id in ids]

    def lacking_case(self, transaction: Connection, ids: Collection[str]) -> set[str]:
        """See `ports.ReferralStore`."""
        latest: dict[str, str] = (
            dict(statements.CASE_STEPS.run(transaction, sorted(ids)).all()) if ids else {}
        )
        return {referral_id for referral_id, fact in latest.items() if fact == CaseUnreadable.routing_key}

    def engagements(self, transaction: Connection, organization: str) -> Engagements:
        """See `ports.ReferralStore`."""
        return Engagements(
            open_offers=_numbers(transaction, engagements.open_offers(organization)),
            accepted=_numbers(transaction, engagements.accepted(organization)),
        )

    def onward_of(self, transaction: Connection, referral_id: str) -> list[tuple[str, str]]:
        """See `ports.ReferralStore`."""
        return [(row[0], row[1]) for row in statements.ONWARD_OF.run(transaction, referral_id)]

    def offer_parties(self, transaction: Connection, offer_id: str) -> tuple[str, str] | None:
        """See `ports.ReferralStore`."""
        wanted = select(OFFERS.c.referral_id, OFFERS.c.organization).where(OFFERS.c.id == offer_id)
        row = transaction.execute(wanted).first()
        return (row.referral_id, row.organization) if row else None

    def observations(self, transaction: Connection) -> dict[str, Observation]:
        """See `ports.ReferralStore`."""
        organizations = list(transaction.execute(select(OBSERVATIONS.c.organization)).scalars())
        return self.observations_of(transaction, organizations)

    def observations_of(
        self, transaction: Connection, organizations: Collection[str]
    ) -> dict[str, Observation]:
        """See `ports.ReferralStore`."""
        rows = statements.OBSERVED.run(transaction, sorted(organizations))
        return _complete(transaction, {row[0]: _observation(*row[1:]) for row in rows})

    def queues_at(self, transaction: Connection, organizations: Collection[str]) -> list[Queue]:
        """See `ports.ReferralStore`."""
        return demand.queues_at(transaction, organizations)

    def first_in(self, transaction: Connection, queue: Queue, limit: int) -> list[WaitingReferral]:
        """See `ports.ReferralStore`."""
        return demand.first_in(transaction, queue, limit)

    def seeking(self, transaction: Connection, after: str | None, limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        return seeking.page(transaction, after, limit)

    def concerned(
        self, transaction: Connection, organization: str, reach: Reach, after: str | None, limit: int
    ) -> list[str]:
        """See `ports.ReferralStore`."""
        return seeking.concerned(transaction, organization, reach, after, limit)

    def figures(self, transaction: Connection) -> NetworkFigures:
        """See `ports.ReferralStore`."""
        return network_figures(transaction)

    def _read(
        self, transaction: Connection, ids: Collection[str], *, for_change: bool
    ) -> dict[str, Referral]:
        if not ids:
            return {}
        # Sorted, so that two processes that lock several referrals cannot deadlock.
        rows = (statements.LOAD if for_change else statements.VIEW).run(transaction, sorted(ids)).all()
        offers: dict[str, list[Offer]] = defaultdict(list)
        for row in statements.OFFERS_OF.run(transaction, [row[0] for row in rows]) if rows else ():
            offers[row[1]].append(_offer(*row))
        unplaced = [row[0] for row in rows if row[2] == ReferralStatus.unplaced]
        waiting = demand.waiting_of(transaction, unplaced) if unplaced else {}
        return {
            row[0]: _referral(*row, offers=tuple(offers[row[0]]), waits_for=waiting.get(row[0], frozenset()))
            for row in rows
        }


def _numbers(transaction: Connection, query: Select[int, int]) -> dict[int, int]:
    return {row[0]: row[1] for row in transaction.execute(query)}


def _save_referrals(transaction: Connection, changes: Changes) -> None:
    new = [r for r in changes.after if r.id not in changes.before]
    changed = [r for r in changes.after if r.id in changes.before and r is not changes.before[r.id]]
    statements.NEW_REFERRAL.run_for_each(
        transaction,
        [
            (
                r.id,
                r.sender,
                dump(r.facts).decode(),
                r.correlation_id,
                r.traceparent,
                microseconds(r.submitted_at),
                need_group(r.facts.needs[0]),
                country_of(r.facts.region),
                *_chain_values(r.chain),
                *_mutable(r),
            )
            for r in new
        ],
    )
    statements.CHANGED_REFERRAL.run_for_each(transaction, [(*_mutable(r), r.id) for r in changed])


def _save_offers(transaction: Connection, changes: Changes) -> None:
    known = {offer.id: offer for referral in changes.before.values() for offer in referral.offers}
    offers = [offer for referral in changes.after for offer in referral.offers]
    statements.NEW_OFFER.run_for_each(
        transaction, [_offer_values(offer) for offer in offers if offer.id not in known]
    )
    closed: dict[tuple[OfferState, OfferState, dt.datetime | None, str | None], list[str]] = defaultdict(list)
    for offer in offers:
        if offer.id not in known or offer is (before := known[offer.id]):
            continue
        if offer.state is before.state:
            changed = statements.CHANGED_OFFER.run(
                transaction,
                microseconds(offer.deadline),
                _moment(offer.nudged_at),
                microseconds(offer.step_at or offer.deadline),
                offer.id,
                before.state.value,
            )
            if changed.rowcount != 1:
                raise Unavailable("Another process closed the offer at the same time.")
        else:
            closed[before.state, offer.state, offer.closed_at, offer.reason].append(offer.id)
    # Compare and swap: an offer leaves a state once, even under concurrency. One statement for each kind of
    # closing (few per batch), because no driver counts the rows of an executemany.
    for (left, state, closed_at, reason), ids in closed.items():
        result = statements.CLOSE_OFFERS.run(
            transaction, state.value, _moment(closed_at), reason, ids, left.value
        )
        if result.rowcount != len(ids):
            raise Unavailable("Another process closed the offer at the same time.")


def _add_observations(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    # Sorted, as above, so that two processes cannot deadlock.
    statements.OBSERVE.run_for_each(
        transaction,
        [
            (
                organization,
                seen.answered,
                seen.expired,
                seen.answer_seconds,
                _moment(seen.last_asked),
                seen.returned,
            )
            for organization, seen in sorted(observed.items(), key=lambda item: item[0])
        ],
    )


def _complete(transaction: Connection, observed: Mapping[str, Observation]) -> dict[str, Observation]:
    loads = demand.loads_at(transaction, observed)
    full = full_services.full_since_at(transaction, observed)
    return {
        organization: replace(
            seen,
            services=loads.get(organization, seen.services),
            full_since=full.get(organization, seen.full_since),
        )
        if organization in loads or organization in full
        else seen
        for organization, seen in observed.items()
    }


def _observation(
    answered: int, expired: int, answer_seconds: int, last_asked: int | None, returned: int
) -> Observation:
    return Observation(
        answered=answered,
        expired=expired,
        answer_seconds=answer_seconds,
        last_asked=_read_moment(last_asked),
        returned=returned,
    )


def _mutable(referral: Referral) -> tuple[Any, ...]:
    return (
        referral.status.value,
        referral.acceptor,
        referral.outcome.value if referral.outcome else None,
        microseconds(referral.updated_at),
        _moment(referral.due_at),
        _moment(referral.overdue_since),
        priority_of(referral),
    )


def _offer_values(offer: Offer) -> tuple[Any, ...]:
    return (
        offer.id,
        offer.referral_id,
        offer.organization,
        offer.service,
        offer.rank,
        offer.state.value,
        microseconds(offer.opened_at),
        microseconds(offer.deadline),
        _moment(offer.closed_at),
        offer.reason,
        offer.placed_by,
        _moment(offer.nudged_at),
        microseconds(offer.step_at or offer.deadline),
    )


def _decision_values(one: RecordedDecision) -> tuple[Any, ...]:
    return one.id, one.referral_id, microseconds(one.decided_at), one.record.decode(), one.salt


def _timeline_values(entry: TimelineEntry) -> tuple[Any, ...]:
    detail = dump(entry.detail).decode()
    return entry.referral_id, microseconds(entry.time), entry.fact, entry.organization, detail


def _moment(moment: dt.datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


def _read_moment(value: int | None) -> dt.datetime | None:
    return None if value is None else moment_of(value)


def _referral(
    id_: str,
    sender: str,
    status: str,
    acceptor: str | None,
    outcome: str | None,
    facts: str,
    correlation_id: str,
    traceparent: str | None,
    submitted_at: int,
    updated_at: int,
    due_at: int | None,
    overdue_since: int | None,
    onward_from: str | None,
    chain: str | None,
    *,
    offers: tuple[Offer, ...],
    waits_for: frozenset[tuple[str, str]],
) -> Referral:
    stored = orjson.loads(facts)
    return Referral(
        id=id_,
        sender=sender,
        facts=facts_of(stored),
        has_facts=not is_reduced(stored),
        status=ReferralStatus(status),
        submitted_at=moment_of(submitted_at),
        updated_at=moment_of(updated_at),
        correlation_id=correlation_id,
        traceparent=traceparent,
        acceptor=acceptor,
        outcome=Outcome(outcome) if outcome else None,
        due_at=_read_moment(due_at),
        overdue_since=_read_moment(overdue_since),
        offers=offers,
        waits_for=waits_for,
        chain=_chain(onward_from, chain),
    )


def _chain_values(chain: Chain | None) -> tuple[str | None, str | None]:
    if chain is None:
        return None, None
    rest = {"previous": chain.previous, "length": chain.length, "holders": chain.holders}
    return chain.onward_from, orjson.dumps(rest).decode()


def _chain(onward_from: str | None, rest: str | None) -> Chain | None:
    if onward_from is None or rest is None:
        return None
    stored = orjson.loads(rest)
    return Chain(onward_from=onward_from, **{**stored, "holders": tuple(stored["holders"])})


def _offer(
    id_: str,
    referral_id: str,
    organization: str,
    service: str,
    rank: int,
    state: str,
    opened_at: int,
    deadline: int,
    closed_at: int | None,
    reason: str | None,
    placed_by: str | None,
    nudged_at: int | None,
    acts_at: int,
) -> Offer:
    return Offer(
        id=id_,
        referral_id=referral_id,
        organization=organization,
        service=service,
        rank=rank,
        state=OfferState(state),
        opened_at=moment_of(opened_at),
        deadline=moment_of(deadline),
        closed_at=_read_moment(closed_at),
        reason=reason,
        placed_by=placed_by,
        nudged_at=_read_moment(nudged_at),
        step_at=moment_of(acts_at) if acts_at != deadline else None,
    )
