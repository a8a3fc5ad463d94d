"""Hard rules about the service: its needs and approvals, area, people, languages, cost and hours."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.codes import Funding, Urgency
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.failure import Failure
from services.routing.domain.offered_service import OfferedService


def need_met(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service meets the principal need. For a part, the organisation meets all needs in the region."""
    if not offered.needs.cover(given.principal_need):
        return Failure(rule="need_met", reason="need_not_offered", detail={"need": given.principal_need})
    if not given.is_for_all_needs:
        return None
    services = [
        one
        for one in given.directory.offered_services_of(offered.organization_id)
        if not given.places.isdisjoint(one.areas)
    ]
    missing = [need for need in given.facts.needs if not any(one.needs.cover(need) for one in services)]
    return Failure(rule="need_met", reason="need_not_offered", detail={"need": missing}) if missing else None


def service_approved(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The network has approved the organisation for every sensitive need of the referral.

    The principal need requires the approval of this service. A further need requires the approval of this
    service or of another one of the organisation, which reads the whole case if it accepts: see
    `approved_for_further`. Vetting an organisation says nothing about a service that it declares later.
    """
    if not given.sensitive:
        return None
    principal = given.principal_need
    needs = [
        need
        for need in given.sensitive
        if not (
            offered.is_approved_for(need) if need == principal else approved_for_further(offered, need, given)
        )
    ]
    return service_not_approved(offered, needs) if needs else None


def approved_for_further(offered: OfferedService, need: str, given: Circumstances) -> bool:
    """Return whether the organisation has an approved service that meets the need and serves this person.

    The service that is asked has rules of its own about the person, so only its need and approval count here.
    """
    if not given.approvals_serve_person:
        return offered.is_organization_approved(need)
    if offered.is_approved_for(need) and offered.needs.cover(need):
        return True
    return offered.is_organization_approved(need) and any(
        one.is_approved_for(need) and one.needs.cover(need) and _serves(one, given)
        for one in given.directory.offered_services_of(offered.organization_id)
    )


def _serves(offered: OfferedService, given: Circumstances) -> bool:
    """Return whether the service is for this person: place, settlement, conditions and language."""
    about_person = (area_served, settlement_served, person_eligible, language_shared)
    return all(rule(offered, given) is None for rule in about_person)


def service_not_approved(offered: OfferedService, needs: Sequence[str]) -> Failure:
    """Return the failure of `service_approved` for these sensitive needs."""
    detail = {"service": offered.service_id, "needs": needs}
    return Failure(rule="service_approved", reason="service_not_approved", detail=detail)


def area_served(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service covers the person's region."""
    if not offered.areas.isdisjoint(given.places):
        return None
    return Failure(rule="area_served", reason="out_of_area", detail={"region": given.facts.region})


def settlement_served(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service covers the person's kind of settlement."""
    if given.facts.settlement in offered.service.settlements:
        return None
    return Failure(
        rule="settlement_served",
        reason="settlement_not_served",
        detail={"settlement": given.facts.settlement},
    )


def person_eligible(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The person meets all eligibility conditions of the service."""
    if offered.is_for_anyone:
        return None
    facts, bounds = given.facts, offered.service.eligibility
    unmet = []
    if bounds.sexes and facts.sex not in bounds.sexes:
        unmet.append("sex")
    if bounds.age_bands and facts.age_band not in bounds.age_bands:
        unmet.append("age_band")
    if bounds.stages and facts.stage not in bounds.stages:
        unmet.append("stage")
    if bounds.origin_countries and facts.origin_country not in bounds.origin_countries:
        unmet.append("origin_country")
    wanted = bounds.special_categories
    if wanted and not any(category in wanted for category in facts.special_categories):
        unmet.append("special_categories")
    if not unmet:
        return None
    return Failure(rule="person_eligible", reason="not_eligible", detail={"unmet": unmet})


def language_shared(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service speaks one of the person's languages, or has interpreters for it."""
    if not offered.spoken.isdisjoint(given.facts.languages):
        return None
    detail = {"spoken": sorted(offered.spoken)}
    return Failure(rule="language_shared", reason="no_common_language", detail=detail)


def cost_accepted(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service is free, or the person accepts costs."""
    if offered.service.cost is Funding.free or given.facts.accepts_cost:
        return None
    return Failure(rule="cost_accepted", reason="not_free", detail={"cost": offered.service.cost})


def open_now(offered: OfferedService, given: Circumstances) -> Failure | None:
    """An emergency requires a service that is always open."""
    if given.facts.urgency is not Urgency.emergency or offered.service.always_open:
        return None
    return Failure(rule="open_now", reason="not_always_open")
