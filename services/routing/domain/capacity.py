"""The capacity of a service as routing reads it, from one or several stated capacities.

A service may state capacities in several units, such as beds and consultations. A referral takes one of each
unit until it ends, so the tightest binds: the least favourable status, the lowest maximum, the oldest date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from contracts.codes import CapacityStatus
from contracts.organization import Capacity, Service

# Services with capacity come first, then those that assess the person first, then waiting lists.
ORDER_OF_CAPACITY: Mapping[CapacityStatus, int] = {
    CapacityStatus.capacity: 0,
    CapacityStatus.assessment_required: 1,
    CapacityStatus.waitlist: 2,
    CapacityStatus.no_capacity: 3,
}


def tightest_capacity(service: Service) -> Capacity:
    """Return the capacity that binds.

    unit: that of the lowest maximum, or of the status if a status other than `capacity` binds.
    """
    if not service.further_capacities:
        return service.capacity
    stated = (service.capacity, *service.further_capacities)
    status = max(stated, key=lambda one: ORDER_OF_CAPACITY[one.status])
    counted = [one for one in stated if one.maximum is not None]
    lowest = min(counted, key=lambda one: one.maximum or 0, default=None)
    binding = status if lowest is None or status.status is not CapacityStatus.capacity else lowest
    return Capacity(
        status=status.status,
        updated_at=min(one.updated_at for one in stated),
        maximum=None if lowest is None else lowest.maximum,
        unit=binding.unit,
    )


def latest_statement(service: Service) -> dt.datetime:
    """Return when the service last stated any of its capacities."""
    return max(one.updated_at for one in (service.capacity, *service.further_capacities))
