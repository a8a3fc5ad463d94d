"""The network's approval of a service for sensitive needs (`contracts.vocabularies.sensitive_needs`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any

from contracts.canonical import canonical_json
from contracts.codes import Funding
from contracts.errors import PointerError, Refused
from contracts.organization import ApprovedService, Eligibility, Organization, Service
from contracts.records import plain
from contracts.vocabularies import need_group, sensitive_needs


def with_approval(
    present: Organization, service_id: str, needs: Sequence[str], *, by: str, at: dt.datetime
) -> Organization:
    """Return the record with the service approved for exactly these needs, in place of an earlier approval.

    by: the principal that approves. An approval that is there already stays as it is. Raises Refused
    `not-found` if the organisation has no such service, and `invalid-submission` with a pointer for each need
    that the service does not offer or that needs no approval.
    """
    service = next((one for one in present.services if one.id == service_id), None)
    if service is None:
        raise _no_such_service()
    errors = []
    for index, need in enumerate(needs):
        if need not in service.needs and need_group(need) not in service.needs:
            errors.append(PointerError(pointer=f"/needs/{index}", detail="The service does not offer it."))
        elif need not in sensitive_needs():
            errors.append(PointerError(pointer=f"/needs/{index}", detail="It needs no approval."))
    if errors:
        raise Refused("invalid-submission", "The service cannot be approved for these needs.", errors=errors)
    wanted = tuple(sorted(set(needs)))
    known = next((one for one in present.approved_services if one.service == service_id), None)
    if known is not None and tuple(sorted(known.needs)) == wanted:
        return present
    approval = ApprovedService(service=service_id, needs=wanted, by=by, at=at)
    return replace(present, approved_services=(*_others(present, service_id), approval))


def without_approval(present: Organization, service_id: str) -> Organization:
    """Return the record without the service's approval, whether or not the service still exists.

    Raises Refused `not-found` if it has neither.
    """
    others = _others(present, service_id)
    if len(others) == len(present.approved_services) and service_id not in {s.id for s in present.services}:
        raise _no_such_service()
    return replace(present, approved_services=others)


def with_approvals_that_hold(before: Organization | None, wanted: Organization) -> Organization:
    """Return the record without the approvals of services that are gone, or reach more people than before.

    An approval covers the service that the approvers saw, or a narrower one. before: None for a new record,
    whose writer vouches for its approvals.
    """
    if before is None:
        return wanted
    known = {service.id: service for service in before.services}
    present = {service.id: service for service in wanted.services}
    kept = tuple(
        approval
        for approval in wanted.approved_services
        if approval.service in present
        # Earlier builds kept the approval of a service that was removed: it must not cover another one.
        and approval.service in known
        and not reaches_more(known[approval.service], present[approval.service])
    )
    return replace(wanted, approved_services=kept)


def reaches_more(before: Service, after: Service) -> bool:
    """Return whether a service is for places or people that it was not for before.

    Languages and capacities are not among them: they change with the staff and the day.
    """
    conditions = (
        (getattr(before.eligibility, one.name), getattr(after.eligibility, one.name))
        for one in fields(Eligibility)
    )
    return (
        any(not _is_in(area, before.areas) for area in after.areas)
        or not set(after.settlements) <= set(before.settlements)
        # A free service is for people who accept no cost, too.
        or (after.cost is Funding.free and before.cost is not Funding.free)
        # An empty list sets no condition.
        or any(old and not (new and set(new) <= set(old)) for old, new in conditions)
    )


def _is_in(area: str, areas: Collection[str]) -> bool:
    """Return whether an area, a country or a region of one, is among these or in one of their countries."""
    return area in areas or area.partition("-")[0] in areas


def service_basis(present: Organization, service_id: str) -> str:
    """Return the digest of the service as an approver sees it, without its capacities, which change often.

    A request for approval is stale once it differs.
    """
    found = next((one for one in present.services if one.id == service_id), None)
    seen: dict[str, Any] = {} if found is None else plain(found)
    seen.pop("capacity", None)
    seen.pop("further_capacities", None)
    return f"service {sha256(canonical_json(seen)).hexdigest()}"


def _others(present: Organization, service_id: str) -> tuple[ApprovedService, ...]:
    return tuple(one for one in present.approved_services if one.service != service_id)


def _no_such_service() -> Refused:
    return Refused("not-found", "The organisation has no service with this id.")
