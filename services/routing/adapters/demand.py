"""The tables `held`, `demand` and `waiting`: the load of each service, and the referrals that wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from contracts.codes import Urgency
from runtime.storage.columns import microseconds, moment_of
from services.routing.adapters import statements
from services.routing.domain.observation import NO_LOAD, Observation, ServiceLoad
from services.routing.domain.places import Demand
from services.routing.domain.waiting import WaitingQueue, WaitingReferral
from services.routing.ports import Changes


def loads_at(transaction: Connection, organizations: Collection[str]) -> dict[str, dict[str, ServiceLoad]]:
    """Return the load of each service of the organisations that has any."""
    found: dict[str, dict[str, ServiceLoad]] = defaultdict(dict)
    if not organizations:
        return found
    demand: dict[tuple[str, str], dict[tuple[str, Urgency], Demand]] = defaultdict(dict)
    for row in statements.DEMAND_AT.run(transaction, sorted(organizations)):
        demand[row[0], row[1]][row[2], Urgency(row[3])] = Demand(offers=row[4], waiting=row[5])
    for (organization, service), by_sender in demand.items():
        found[organization][service] = ServiceLoad(demand=by_sender)
    for organization, service, held in statements.HELD_AT.run(transaction, sorted(organizations)):
        load = found[organization].get(service, NO_LOAD)
        found[organization][service] = load.plus(ServiceLoad(accepted=held))
    return found


def add(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    """Add the changes of the services' loads; rows that reach zero are deleted."""
    # Sorted, so that two processes cannot deadlock.
    loads = sorted(
        (
            (organization, service, load)
            for organization, seen in observed.items()
            for service, load in seen.services.items()
        ),
        key=lambda change: change[:2],
    )
    held = [(organization, service, load.accepted) for organization, service, load in loads if load.accepted]
    statements.HELD_CHANGE.run_for_each(transaction, held)
    statements.NOTHING_HELD.run_for_each(transaction, [change[:2] for change in held if change[2] < 0])
    demand = sorted(
        (organization, service, sender, urgency.value, change.offers, change.waiting)
        for organization, service, load in loads
        for (sender, urgency), change in load.demand.items()
    )
    statements.DEMAND_CHANGE.run_for_each(transaction, demand)
    statements.NO_DEMAND_LEFT.run_for_each(
        transaction, [change[:4] for change in demand if change[4] < 0 or change[5] < 0]
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


def queues_at(transaction: Connection, organizations: Collection[str]) -> list[WaitingQueue]:
    """Return the queues at the organisations, in a fixed order."""
    rows = statements.QUEUES_AT.run(transaction, sorted(organizations)).all()
    return [
        WaitingQueue(organization=row[0], service=row[1], sender=row[2], urgency=Urgency(row[3]))
        for row in sorted(tuple(row) for row in rows)
    ]


def first_in(transaction: Connection, queue: WaitingQueue, limit: int) -> list[WaitingReferral]:
    """Return the referrals of a queue that were submitted first."""
    rows = statements.FIRST_IN_QUEUE.run(
        transaction, queue.organization, queue.service, queue.sender, queue.urgency.value, limit
    )
    return [
        WaitingReferral(referral_id=referral_id, queue=queue, since=moment_of(since))
        for referral_id, since in rows
    ]
