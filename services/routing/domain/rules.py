"""The hard rules: conditions that a candidate must meet before it may be asked.

Every rule is evaluated for every candidate, so that an explanation can list them all. A failed rule gives a
typed reason. Nobody can override a rule about the person's consent, safety or money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.codes import (
    OPT_IN_KINDS,
    CapacityStatus,
    Funding,
    OrganizationKind,
    Urgency,
    Vetting,
)
from contracts.organization import Organization
from contracts.records import dump
from services.routing.domain.capacity import latest_statement
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.directory import Directory
from services.routing.domain.observation import NO_LOAD, Observation
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.places import NoPlace, place_refused


# Not frozen: a decision makes hundreds. Decisions share failures, so nothing may change one.
@dataclass(kw_only=True, slots=True)
class Failure:
    """A failed rule: a reason code, and the evidence in the directory's terms."""

    rule: str
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    _json: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def json(self) -> str:
        """The failure as JSON, which is kept: many candidates and decisions share a failure."""
        if self._json is None:
            self._json = dump(self).decode()
        return self._json


Rule = Callable[[OfferedService, Circumstances], Failure | None]


def organization_active(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation is active in the network."""
    if offered.organization.active:
        return None
    return Failure(rule="organization_active", reason="inactive")


def organization_vetted(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The network has vetted the organisation."""
    vetting = offered.organization.vetting
    if vetting is Vetting.vetted:
        return None
    return Failure(rule="organization_vetted", reason="not_vetted", detail={"vetting": vetting})


def not_the_sender(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation is not the sender."""
    if offered.organization_id != given.sender:
        return None
    return Failure(rule="not_the_sender", reason="is_the_sender")


def consent_given(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The person consented to the referral. Intake refuses referrals without consent; this checks again."""
    if given.facts.consent.given:
        return None
    return Failure(rule="consent_given", reason="no_consent")


def not_excluded(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The person has excluded neither the organisation nor one of its parents."""
    excluded = given.facts.consent.excluded_organizations
    if not excluded:
        return None
    for one in given.directory.with_parents(offered.organization):
        if one.id in excluded or one.parent in excluded:
            return Failure(rule="not_excluded", reason="excluded_by_the_person")
    return None


def kind_consented(offered: OfferedService, given: Circumstances) -> Failure | None:
    """Consulates, state bodies and employers receive offers only after an explicit opt-in.

    Fails closed: a consulate must never find a person because a field was left empty, nor through a branch
    that is of another kind.
    """
    kind = kind_to_opt_in(offered.organization, given.directory)
    if kind is None or kind in given.facts.consent.opt_in_kinds:
        return None
    return Failure(rule="kind_consented", reason="kind_not_opted_in", detail={"kind": kind})


def kind_to_opt_in(organization: Organization, directory: Directory) -> OrganizationKind | None:
    """Return the kind that requires an opt-in: its own, otherwise the nearest parent's, otherwise None."""
    if organization.kind in OPT_IN_KINDS:
        return organization.kind
    if organization.parent is None:
        return None
    kinds = (one.kind for one in directory.with_parents(organization))
    return next((kind for kind in kinds if kind in OPT_IN_KINDS), None)


def agreement_in_force(offered: OfferedService, given: Circumstances) -> Failure | None:
    """Agreements allow the sender to disclose the principal and each sensitive need to the organisation.

    Each need takes an agreement that allows the referral's class. The needs may be in several agreements.
    """
    needs = given.directory.needs_without_agreement(offered.organization_id, given.agreements)
    return not_disclosed(given, needs) if needs else None


def not_disclosed(given: Circumstances, needs: Sequence[str]) -> Failure:
    """Return the failure of `agreement_in_force` for these needs."""
    detail = {"class": given.disclosure, "needs": needs}
    return Failure(rule="agreement_in_force", reason="no_agreement", detail=detail)


def can_receive(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has published a sealing key; without one no case can be released to it."""
    if offered.organization.sealing_key is not None:
        return None
    return Failure(rule="can_receive", reason="no_sealing_key")


def case_sealed_for(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The case is not sealed for another organisation, which alone could open it."""
    to = given.facts.to
    if to is None or to == offered.organization_id:
        return None
    return Failure(rule="case_sealed_for", reason="sealed_for_another", detail={"to": to})


def need_met(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The service meets the principal need. Of a part, the organisation meets all needs in the region."""
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


# The member of a failure's detail that states when time alone lets the rule hold again.
UNTIL = "until"


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
    return Failure(rule="capacity_not_declined", reason="declined_no_capacity", detail=detail)


PLACE_LEFT = "place_left"


def place_left(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The sender may take a place: see `places.py` for how many there are, and for its share."""
    return no_place_left(offered, given, given.observed(offered.organization_id))


def no_place_left(offered: OfferedService, given: Circumstances, seen: Observation) -> Failure | None:
    """Return what `place_left` returns. seen: what was observed of the organisation."""
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


def open_now(offered: OfferedService, given: Circumstances) -> Failure | None:
    """An emergency requires a service that is always open."""
    if given.facts.urgency is not Urgency.emergency or offered.service.always_open:
        return None
    return Failure(rule="open_now", reason="not_always_open")


def storage_allowed(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The person allows case storage in the organisation's country."""
    allowed = given.facts.consent.storage_countries
    if not allowed or offered.organization.country in allowed:
        return None
    return Failure(
        rule="storage_allowed",
        reason="storage_not_allowed",
        detail={"country": offered.organization.country},
    )


def not_asked_before(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not received an offer for this referral before.

    After a decline for lack of capacity it is asked again, once it has stated its capacity anew and the
    policy's time has passed.
    """
    if offered.organization_id not in given.asked or offered.organization_id in given.declined_for_person:
        return None
    declined_at = given.declined_as_full.get(offered.organization_id)
    if declined_at is None:
        return Failure(rule="not_asked_before", reason="already_asked")
    if latest_statement(offered.service) <= declined_at:
        detail = {"declined_at": declined_at}
        return Failure(rule="not_asked_before", reason="no_room_reported", detail=detail)
    until = declined_at + given.full_for
    if given.now >= until:
        return None
    detail = {"declined_at": declined_at, UNTIL: until}
    return Failure(rule="not_asked_before", reason="asked_lately", detail=detail)


NOT_DECLINED_FOR_PERSON = "not_declined_for_person"


def not_declined_for_person(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not declined for a reason that concerns the person, whatever the need is.

    It gave the reason about this referral or another part of it: a conflict of interest, or that the person
    prefers another organisation.
    """
    reason = given.declined_for_person.get(offered.organization_id)
    return None if reason is None else Failure(rule=NOT_DECLINED_FOR_PERSON, reason=reason)


NOT_IN_CHAIN = "not_in_chain"


def not_in_chain(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not held the case earlier in the chain of onward referrals.

    It has passed the person on, so the person would go round in a circle. A sender that wants exactly this
    names the organisation. detail: `previous` for the organisation that sent the referral to the sender,
    which knows it, and `earlier` for others.
    """
    chain, organization = given.chain, offered.organization_id
    if chain is None or organization not in chain.holders or organization in (given.sender, given.facts.to):
        return None
    held = "previous" if organization == chain.previous else "earlier"
    return Failure(rule=NOT_IN_CHAIN, reason="held_before", detail={"held": held})


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        organization_active,
        organization_vetted,
        not_the_sender,
        consent_given,
        not_excluded,
        kind_consented,
        agreement_in_force,
        can_receive,
        case_sealed_for,
        need_met,
        service_approved,
        area_served,
        settlement_served,
        person_eligible,
        language_shared,
        cost_accepted,
        capacity_left,
        capacity_not_declined,
        place_left,
        open_now,
        storage_allowed,
        not_asked_before,
        not_declined_for_person,
        not_in_chain,
    )
}

_RULES = tuple(RULES.values())

# Rules about which a coordinator may know better than the directory. Rules about consent, conflicts of
# interest, trust, agreements, approvals, keys and money are excluded.
COORDINATOR_MAY_OVERRIDE = frozenset(
    {
        "need_met",
        "area_served",
        "settlement_served",
        "person_eligible",
        "language_shared",
        "capacity_left",
        "capacity_not_declined",
        PLACE_LEFT,
        "open_now",
        "not_asked_before",
        NOT_IN_CHAIN,
    }
)


def failures(offered: OfferedService, given: Circumstances) -> tuple[Failure, ...]:
    """Return the failed rules, in the order of `RULES`."""
    return tuple([failure for rule in _RULES if (failure := rule(offered, given)) is not None])
