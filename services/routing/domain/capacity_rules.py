"""Hard rules about capacity: the stated one, a recent decline for lack of it, and the remaining places."""

from __future__ import annotations

from contracts.codes import CapacityStatus, Urgency
from services.routing.domain.capacity import latest_statement
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.failure import UNTIL, Failure
from services.routing.domain.observation import NO_LOAD, Observation
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.places import NoPlace, place_refused
from services.routing.domain.withdrawn_offers import withdrawn_refused

CAPACITY_NOT_DECLINED = "capacity_not_declined"
PLACE_LEFT = "place_left"
# The reason of `place_left` for a sender that time alone lets in again.
WITHDRAWN_TOO_OFTEN = "withdrawn_too_often"


def capacity_left(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service states that it has capacity. A waiting list does not suffice for an emergency."""
    capacity = offered.capacity
    full = capacity.status is CapacityStatus.no_capacity or (
        capacity.status is CapacityStatus.waitlist and given.facts.urgency is Urgency.emergency
    )
    if full:
        detail = {"status": capacity.status, **_unit(offered)}
        return Failure(rule="capacity_left", reason="no_capacity", detail=detail)
    return None


def _unit(offered: OfferedService) -> dict[str, str]:
    """The unit that binds, for services that state several."""
    return {} if offered.unit is None else {"unit": offered.unit}


def capacity_not_declined(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not lately declined an offer of this service for lack of capacity.

    A statement of capacity after the decline counts more.
    """
    return declined_as_full(offered, given, given.observed(offered.organization_id))


def declined_as_full(offered: OfferedService, given: Circumstances, seen: Observation) -> Failure | None:
    """Return what `capacity_not_declined` returns. seen: what was observed of the organisation."""
    declined_at = seen.full_since.get(offered.service_id)
    if declined_at is None or latest_statement(offered.service) > declined_at:
        return None
    until = declined_at + given.full_for
    if given.now >= until:
        return None
    detail = {"service": offered.service_id, "declined_at": declined_at, UNTIL: until}
    return Failure(rule=CAPACITY_NOT_DECLINED, reason="declined_no_capacity", detail=detail)


def place_left(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The sender may take a place: see `places.py` for how many there are, and for its share.

    It may not while too many offers that it has withdrawn still count (`withdrawn_offers.py`).
    """
    seen = given.observed(offered.organization_id)
    return withdrawn_too_often(given, seen) or no_place_left(offered, given, seen)


def withdrawn_too_often(given: Circumstances, seen: Observation) -> Failure | None:
    """Return the failure of `place_left` for withdrawn offers. seen: what was observed of the organisation.

    Time alone ends it, so the referral does not wait for a place that others could take.
    """
    counts = seen.withdrawn.get(given.sender)
    if counts is None:
        return None
    refused = withdrawn_refused(
        counts, urgency=given.facts.urgency, now=given.now, bounds=given.offers_per_sender
    )
    if refused is None:
        return None
    detail = {"withdrawn": refused.offers, UNTIL: refused.until}
    return Failure(rule=PLACE_LEFT, reason=WITHDRAWN_TOO_OFTEN, detail=detail)


def no_place_left(offered: OfferedService, given: Circumstances, seen: Observation) -> Failure | None:
    """Return the failure of `place_left` for places that are taken, or for the sender's share.

    seen: what was observed of the organisation.
    """
    maximum, bounds = offered.maximum, given.offers_per_sender
    if maximum is None and bounds.most is None:
        return None
    load = seen.services.get(offered.service_id, NO_LOAD)
    refused = place_refused(
        load.demand,
        maximum=maximum,
        accepted=load.accepted,
        sender=given.sender,
        urgency=given.facts.urgency,
        bounds=bounds,
    )
    if refused is None:
        return None
    reason = "no_place" if isinstance(refused, NoPlace) else "share_used"
    return Failure(rule=PLACE_LEFT, reason=reason, detail={**refused.by_name(), **_unit(offered)})
