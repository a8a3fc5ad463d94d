"""Hard rules about the organisation: its standing, its agreements and its sealing key."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.codes import Vetting
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.failure import Failure
from services.routing.domain.offered_service import OfferedService


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
