"""Hard rules about the person's consent. Nobody can override them."""

from __future__ import annotations

from collections.abc import Collection

from contracts.codes import OPT_IN_KINDS, OrganizationKind
from contracts.organization import Organization
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.directory import Directory
from services.routing.domain.failure import Failure
from services.routing.domain.offered_service import OfferedService


def consent_given(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The person consented to the referral. Intake refuses referrals without consent; this checks again."""
    if given.facts.consent.given:
        return None
    return Failure(rule="consent_given", reason="no_consent")


def not_excluded(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The person has excluded neither the organisation nor one of its parents."""
    excluded = given.facts.consent.excluded_organizations
    if is_excluded(offered.organization, excluded, given.directory):
        return Failure(rule="not_excluded", reason="excluded_by_the_person")
    return None


def is_excluded(organization: Organization, excluded: Collection[str], directory: Directory) -> bool:
    """Return whether the organisation or one of its parents is among these."""
    return bool(excluded) and any(
        one.id in excluded or one.parent in excluded for one in directory.with_parents(organization)
    )


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
