"""Observations about organisations: counts, the load of each service, and when each was full."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import Connection, select

from services.routing.adapters import demand, full_services, statements, withdrawn_offers
from services.routing.adapters.rows import optional_microseconds, optional_moment
from services.routing.adapters.tables import OBSERVATIONS
from services.routing.domain.observation import Observation


def read_all(transaction: Connection) -> dict[str, Observation]:
    """Return what was observed of each organisation."""
    return read(transaction, transaction.execute(select(OBSERVATIONS.c.organization)).scalars().all())


def read(transaction: Connection, organizations: Collection[str]) -> dict[str, Observation]:
    """Return what was observed of these organisations; those without any are missing."""
    rows = statements.OBSERVED.run(transaction, sorted(organizations))
    return _complete(transaction, {row[0]: _observation(*row[1:]) for row in rows})


def add(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    """Add changes to what is stored: counts, demand, services that are full, withdrawn offers."""
    # Sorted, so that two processes cannot deadlock.
    statements.OBSERVE.run_for_each(
        transaction,
        [
            (
                organization,
                seen.answered,
                seen.expired,
                seen.answer_seconds,
                optional_microseconds(seen.last_asked),
                seen.returned,
            )
            for organization, seen in sorted(observed.items(), key=lambda item: item[0])
        ],
    )
    demand.add(transaction, observed)
    full_services.save(transaction, observed)
    withdrawn_offers.save(transaction, observed)


def _complete(transaction: Connection, observed: Mapping[str, Observation]) -> dict[str, Observation]:
    loads = demand.loads_at(transaction, observed)
    full = full_services.full_since_at(transaction, observed)
    withdrawn = withdrawn_offers.withdrawn_at(transaction, observed)
    return {
        organization: replace(
            seen,
            services=loads.get(organization, seen.services),
            full_since=full.get(organization, seen.full_since),
            withdrawn=withdrawn.get(organization, seen.withdrawn),
        )
        if organization in loads or organization in full or organization in withdrawn
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
        last_asked=optional_moment(last_asked),
        returned=returned,
    )
