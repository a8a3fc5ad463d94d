"""The tables `demand` and `waiting`: open offers and waiting referrals, by candidate and sender."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from contracts.codes import Urgency
from runtime.storage.columns import microseconds, moment_of
from services.routing.adapters import statements
from services.routing.domain.observation import Observation
from services.routing.domain.places import Demand
from services.routing.domain.waiting import Queue, WaitingReferral
from services.routing.ports import Changes


def demand_at(
    transaction: Connection, organizations: Collection[str]
) -> dict[str, dict[tuple[str, Urgency], Demand]]:
    """Return the demand at each of the organisations that has any."""
    found: dict[str, dict[tuple[str, Urgency], Demand]] = defaultdict(dict)
    if organizations:
        for row in statements.DEMAND_AT.run(transaction, sorted(organizations)):
            found[row[0]][row[1], Urgency(row[2])] = Demand(offers=row[3], waiting=row[4])
    return found


def add(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    """Add the changes of the demand; rows that reach zero are deleted."""
    # Sorted, so that two processes cannot deadlock.
    changes = sorted(
        (organization, sender, urgency.value, change.offers, change.waiting)
        for organization, seen in observed.items()
        for (sender, urgency), change in seen.demand.items()
    )
    statements.DEMAND_CHANGE.run_for_each(transaction, changes)
    statements.NO_DEMAND_LEFT.run_for_each(
        transaction, [change[:3] for change in changes if change[3] < 0 or change[4] < 0]
    )


def waiting_of(transaction: Connection, ids: Collection[str]) -> dict[str, frozenset[tuple[str, str]]]:
    """Return the (organisation, service) that each of the referrals waits for."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for referral_id, organization, service in statements.WAITING_OF.run(transaction, sorted(ids)):
        found[referral_id].add((organization, service))
    return {referral_id: frozenset(places) for referral_id, places in found.items()}


def save_waiting(transaction: Connection, changes: Changes) -> None:
    """Write what each changed referral waits for."""
    stale: list[str] = []
    rows: list[tuple[object, ...]] = []
    for referral in changes.after:
        before = changes.before.get(referral.id)
        waited = before.waiting if before is not None else frozenset()
        if referral.waiting == waited:
            continue
        if waited:
            stale.append(referral.id)
        since = microseconds(referral.submitted_at)
        rows += [
            (referral.id, organization, service, referral.sender, referral.facts.urgency.value, since)
            for organization, service in sorted(referral.waiting)
        ]
    if stale:
        statements.WAITS_NO_MORE.run(transaction, stale)
    statements.NEW_WAITING.run_for_each(transaction, rows)


def queues_at(transaction: Connection, organizations: Collection[str]) -> list[Queue]:
    """Return the queues at the organisations, in a fixed order."""
    rows = statements.QUEUES_AT.run(transaction, sorted(organizations)).all()
    return [
        Queue(organization=row[0], service=row[1], sender=row[2], urgency=Urgency(row[3]))
        for row in sorted(tuple(row) for row in rows)
    ]


def first_in(transaction: Connection, queue: Queue, limit: int) -> list[WaitingReferral]:
    """Return the referrals of a queue that were submitted first."""
    rows = statements.FIRST_IN_QUEUE.run(
        transaction, queue.organization, queue.service, queue.sender, queue.urgency.value, limit
    )
    return [
        WaitingReferral(referral_id=referral_id, queue=queue, since=moment_of(since))
        for referral_id, since in rows
    ]
