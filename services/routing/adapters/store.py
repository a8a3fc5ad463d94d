"""The referral store on SQLAlchemy Core: a batch runs a few statements, each for many rows."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Select, select

from contracts.codes import OfferState, ReferralStatus
from contracts.errors import Unavailable
from contracts.facts import CaseRequested, CaseUnreadable
from contracts.vocabularies import sensitive_needs
from runtime.storage.columns import microseconds, moment_of
from runtime.turn import in_turns
from services.routing.adapters import demand, engagements, observations, seeking, statements
from services.routing.adapters.fact_reduction import mark_revoked
from services.routing.adapters.network_figures import network_figures
from services.routing.adapters.pages import page_of
from services.routing.adapters.queues import queue_page
from services.routing.adapters.rows import (
    changing_values,
    decision_values,
    offer_of,
    offer_values,
    optional_microseconds,
    referral_of,
    referral_values,
    stored_part,
    timeline_values,
)
from services.routing.adapters.tables import (
    DECISIONS,
    OFFERS,
    TIMELINE,
)
from services.routing.domain.coordination_queue import (
    LatestTurns,
    QueueFilter,
    QueueKind,
    QueuePosition,
    turns_of,
)
from services.routing.domain.directory import Reach
from services.routing.domain.engagements import Engagements
from services.routing.domain.network_figures import NetworkFigures
from services.routing.domain.observation import Observation
from services.routing.domain.offer import Offer
from services.routing.domain.part_of import part_ids
from services.routing.domain.referral import Referral
from services.routing.domain.timeline import TimelineEntry
from services.routing.domain.waiting import WaitingQueue, WaitingReferral
from services.routing.ports import Changes

# The steps after which an acceptor waits for its sender to send the case.
_LACKING = frozenset({CaseUnreadable.routing_key, CaseRequested.routing_key})


class SqlReferralStore:
    """See `ports.ReferralStore`."""

    def load(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """See `ports.ReferralStore`."""
        return self._read(transaction, ids, for_change=True)

    def view(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """See `ports.ReferralStore`."""
        return self._read(transaction, ids, for_change=False)

    def families(self, transaction: Connection, ids: Collection[str]) -> set[str]:
        """See `ports.ReferralStore`."""
        found = set(ids)
        for id_, part_of, part, parts in statements.SPLIT.run(transaction, sorted(found)) if found else ():
            membership = stored_part(part_of, part)
            found |= set(part_ids(id_, parts or 0) if membership is None else membership.family)
        return found

    def save(self, transaction: Connection, changes: Changes) -> None:
        """See `ports.ReferralStore`."""
        _save_referrals(transaction, changes)
        _save_offers(transaction, changes)
        statements.LATE_ANSWER.run_for_each(
            transaction, [(one.answer.value, microseconds(one.at), one.offer_id) for one in changes.late]
        )
        statements.NEW_DECISION.run_for_each(transaction, [decision_values(one) for one in changes.decisions])
        statements.NEW_ENTRY.run_for_each(transaction, [timeline_values(one) for one in changes.timeline])
        mark_revoked(transaction, changes.timeline)
        demand.save_waiting(transaction, changes)
        seeking.save(transaction, changes)
        observations.add(transaction, changes.observed)

    def due_offers(self, transaction: Connection, now: dt.datetime, limit: int) -> list[tuple[str, str]]:
        """See `ports.ReferralStore`."""
        return [(row[0], row[1]) for row in statements.DUE_OFFERS.run(transaction, microseconds(now), limit)]

    def due_referrals(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        return [
            referral_id
            for (referral_id,) in statements.DUE_REFERRALS.run(transaction, microseconds(now), limit)
        ]

    def next_due(self, transaction: Connection) -> dt.datetime | None:
        """See `ports.ReferralStore`."""
        due = statements.NEXT_DUE.run(transaction).scalar_one()
        return None if due is None else moment_of(due)

    def offered_to(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        rows = statements.OFFERED_TO.run(transaction, sorted(organizations), limit)
        return [referral_id for (referral_id,) in rows]

    def offered_after(
        self, transaction: Connection, organizations: Collection[str], after: str | None, limit: int
    ) -> list[str]:
        """See `ports.ReferralStore`."""
        rows = statements.OFFERED_AFTER.run(transaction, sorted(organizations), after or "", limit)
        return [referral_id for (referral_id,) in rows]

    def held_by(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """See `ports.ReferralStore`."""
        rows = statements.HELD_BY.run(transaction, sorted(organizations), limit)
        return [referral_id for (referral_id,) in rows]

    def suspended_acceptors(self, transaction: Connection) -> set[str]:
        """See `ports.ReferralStore`."""
        return set(statements.SUSPENDED_ACCEPTORS.run(transaction).scalars())

    def noted_suspended(
        self, transaction: Connection, organizations: Collection[str], limit: int
    ) -> list[str]:
        """See `ports.ReferralStore`."""
        rows = statements.NOTED_SUSPENDED.run(transaction, sorted(organizations), limit)
        return [referral_id for (referral_id,) in rows]

    def timeline(
        self,
        transaction: Connection,
        referral_id: str,
        *,
        organization: str | None = None,
        fact: str | None = None,
        without: Collection[str] = (),
        except_of: str | None = None,
        limit: int,
    ) -> list[TimelineEntry]:
        """See `ports.ReferralStore`."""
        wanted = select(TIMELINE).where(TIMELINE.c.referral_id == referral_id)
        if organization is not None:
            wanted = wanted.where(TIMELINE.c.organization == organization)
        if fact is not None:
            wanted = wanted.where(TIMELINE.c.fact == fact)
        if without:
            left_in = TIMELINE.c.fact.not_in(without)
            wanted = wanted.where(
                left_in if except_of is None else left_in | (TIMELINE.c.organization == except_of)
            )
        newest = wanted.order_by(TIMELINE.c.number.desc()).limit(limit)
        rows = reversed(transaction.execute(newest).all())
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

    def acted_at(
        self,
        transaction: Connection,
        referral_id: str,
        coordinator: str,
        facts: Collection[str],
        *,
        since: dt.datetime,
    ) -> list[dt.datetime]:
        """See `ports.ReferralStore`."""
        wanted = select(TIMELINE.c.time, TIMELINE.c.detail).where(
            TIMELINE.c.referral_id == referral_id, TIMELINE.c.time > since, TIMELINE.c.fact.in_(facts)
        )
        rows = transaction.execute(wanted)
        return sorted(row.time for row in rows if row.detail.get("coordinator") == coordinator)

    def decisions(self, transaction: Connection, referral_id: str) -> list[Mapping[str, Any]]:
        """See `ports.ReferralStore`."""
        wanted = select(DECISIONS.c.record).where(
            DECISIONS.c.referral_id == referral_id, DECISIONS.c.erased_at.is_(None)
        )
        return list(in_turns(transaction.execute(wanted.order_by(DECISIONS.c.id)).scalars()))

    def directory_version_of(self, transaction: Connection, ids: Collection[str]) -> int:
        """See `ports.ReferralStore`."""
        records = statements.LAST_DECISIONS.run(transaction, list(ids)).scalars().all()
        return max((_directory_version(record) for record in in_turns(records)), default=0)

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
        return {referral_id for referral_id, fact in latest.items() if fact in _LACKING}

    def engagements(self, transaction: Connection, organization: str) -> Engagements:
        """See `ports.ReferralStore`."""
        return Engagements(
            open_offers=_numbers(transaction, engagements.open_offers(organization)),
            accepted=_numbers(transaction, engagements.accepted(organization)),
            sent=_numbers(transaction, engagements.sent(organization)),
            sensitive_offers=Counter(
                service
                for service, facts in transaction.execute(engagements.offered_needs(organization))
                if not sensitive_needs().isdisjoint(facts["needs"])
            ),
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
        return observations.read_all(transaction)

    def observations_of(
        self, transaction: Connection, organizations: Collection[str]
    ) -> dict[str, Observation]:
        """See `ports.ReferralStore`."""
        return observations.read(transaction, organizations)

    def queues_at(self, transaction: Connection, organizations: Collection[str]) -> list[WaitingQueue]:
        """See `ports.ReferralStore`."""
        return demand.queues_at(transaction, organizations)

    def first_in(self, transaction: Connection, queue: WaitingQueue, limit: int) -> list[WaitingReferral]:
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
            offers[row[1]].append(offer_of(*row))
        unplaced = [row[0] for row in rows if row[2] == ReferralStatus.unplaced]
        waiting = demand.waiting_of(transaction, unplaced) if unplaced else {}
        return {
            row[0]: referral_of(
                *row, offers=tuple(offers[row[0]]), waits_for=waiting.get(row[0], frozenset())
            )
            for row in rows
        }


def _numbers(transaction: Connection, query: Select[int, int]) -> dict[int, int]:
    return {row[0]: row[1] for row in transaction.execute(query)}


def _save_referrals(transaction: Connection, changes: Changes) -> None:
    new = [r for r in changes.after if r.id not in changes.before]
    changed = [r for r in changes.after if r.id in changes.before and r is not changes.before[r.id]]
    turns = _turns_of(transaction, new, changes.before) if new else {}
    statements.NEW_REFERRAL.run_for_each(transaction, [referral_values(r, turns[r.id]) for r in new])
    statements.CHANGED_REFERRAL.run_for_each(transaction, [(*changing_values(r), r.id) for r in changed])


def _turns_of(
    transaction: Connection, new: Sequence[Referral], before: Mapping[str, Referral]
) -> dict[str, dt.datetime]:
    """Return the turns of new referrals. Two processes that write at once may give the same turn twice."""
    latest: LatestTurns = {
        (sender, rank): moment_of(turn_at)
        for sender, *ranks in statements.LATEST_TURNS.run(transaction, sorted({one.sender for one in new}))
        for rank, turn_at in enumerate(ranks)
        if turn_at is not None
    }
    return turns_of(new, latest, before)


def _save_offers(transaction: Connection, changes: Changes) -> None:
    known = {offer.id: offer for referral in changes.before.values() for offer in referral.offers}
    offers = [offer for referral in changes.after for offer in referral.offers]
    statements.NEW_OFFER.run_for_each(
        transaction, [offer_values(offer) for offer in offers if offer.id not in known]
    )
    closed: dict[tuple[OfferState, OfferState, dt.datetime | None, str | None], list[str]] = defaultdict(list)
    for offer in offers:
        if offer.id not in known or offer is (before := known[offer.id]):
            continue
        if offer.state is before.state:
            changed = statements.CHANGED_OFFER.run(
                transaction,
                microseconds(offer.deadline),
                optional_microseconds(offer.nudged_at),
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
            transaction, state.value, optional_microseconds(closed_at), reason, ids, left.value
        )
        if result.rowcount != len(ids):
            raise Unavailable("Another process closed the offer at the same time.")


def _directory_version(record: str) -> int:
    """Return the version of the directory in a decision's record; 0 in a damaged one."""
    try:
        version = orjson.loads(record).get("directory_version")
    except (ValueError, AttributeError):
        return 0
    return version if type(version) is int else 0
