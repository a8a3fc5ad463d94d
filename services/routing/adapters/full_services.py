"""The table `full_services`: when each service last declined for lack of capacity."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from runtime.storage.columns import microseconds, moment_of
from services.routing.adapters import statements
from services.routing.domain.observation import Observation


def full_since_at(
    transaction: Connection, organizations: Collection[str]
) -> dict[str, dict[str, dt.datetime]]:
    """Return service -> moment for each of the organisations that has a full service."""
    found: dict[str, dict[str, dt.datetime]] = defaultdict(dict)
    if organizations:
        for organization, service, since in statements.FULL_AT.run(transaction, sorted(organizations)):
            found[organization][service] = moment_of(since)
    return found


def save(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    """Write the moments of the changes, unless a later one is known."""
    # Sorted, so that two processes cannot deadlock.
    statements.FULL.run_for_each(
        transaction,
        sorted(
            (organization, service, microseconds(since))
            for organization, seen in observed.items()
            for service, since in seen.full_since.items()
        ),
    )
