"""An observation as a decision's record keeps it: JSON values, without what is zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from contracts.codes import Urgency
from services.routing.domain.observation import Observation
from services.routing.domain.places import Demand

# Each count by name; `demand` as [sender, urgency, offers, waiting], sorted.
ObservedRecord = Mapping[str, Any]

_DEMAND: Final = "demand"
_COUNTS: Final = tuple(item.name for item in fields(Observation) if item.name != _DEMAND)


def observed_record(seen: Observation) -> ObservedRecord:
    """Return the observation's record; empty if nothing was observed."""
    record: dict[str, Any] = {name: count for name in _COUNTS if (count := getattr(seen, name))}
    if seen.demand:
        record[_DEMAND] = sorted(
            [sender, urgency, one.offers, one.waiting] for (sender, urgency), one in seen.demand.items()
        )
    return record


def observation_of(record: ObservedRecord) -> Observation:
    """Return the observation of a record. Raises KeyError, TypeError or ValueError for any other value."""
    demand = {
        (sender, Urgency(urgency)): Demand(offers=offers, waiting=waiting)
        for sender, urgency, offers, waiting in record.get(_DEMAND, ())
    }
    return Observation(**{name: record[name] for name in record if name != _DEMAND}, demand=demand)
