"""The table `withdrawn_offers`: offers that ended with their referral soon after they were opened."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from contracts.codes import Urgency
from runtime.storage.columns import microseconds, moment_of
from services.routing.adapters import statements
from services.routing.domain.observation import Observation
from services.routing.domain.withdrawn_offers import WithdrawnOffers


def withdrawn_at(transaction: Connection, organizations: Collection[str]) -> dict[str, WithdrawnOffers]:
    """Return the withdrawn offers at each of the organisations that has any."""
    found: dict[str, dict[str, dict[tuple[Urgency, dt.datetime], int]]] = defaultdict(dict)
    if organizations:
        rows = statements.WITHDRAWN_AT.run(transaction, sorted(organizations))
        for organization, sender, urgency, at, offers in rows:
            counts = found[organization].setdefault(sender, {})
            counts[Urgency(urgency), moment_of(at)] = offers
    return dict(found)


def save(transaction: Connection, observed: Mapping[str, Observation]) -> None:
    """Add the changes to the counts."""
    # Sorted, so that two processes cannot deadlock.
    rows = sorted(
        (organization, sender, urgency.value, microseconds(at), offers)
        for organization, seen in observed.items()
        for sender, counts in seen.withdrawn.items()
        for (urgency, at), offers in counts.items()
    )
    statements.WITHDRAWN.run_for_each(transaction, rows)


def forget(transaction: Connection, by: dt.datetime) -> None:
    """Delete the counts of offers that were opened by then."""
    statements.WITHDRAWN_FORGOTTEN.run(transaction, microseconds(by))
