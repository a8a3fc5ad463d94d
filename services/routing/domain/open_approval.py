"""Whether the network still approves an offer's holder for the sensitive needs of its referral."""

from __future__ import annotations

from services.routing.domain.circumstances import Circumstances
from services.routing.domain.offer import Offer


def is_approved(offer: Offer, given: Circumstances) -> bool:
    """Return whether the network's approvals still cover the sensitive needs of the referral.

    The principal need requires the approval of the service that was asked, a further one that of any service
    of the organisation. `service_rules.approved_for_further` checked that the service serves this person when
    the offer was opened. It is not checked again: otherwise an organisation could remove a language and add
    it again to end its offers before they expire. False if the organisation no longer has the service that
    was asked.
    """
    if not given.sensitive:
        return True
    services = given.directory.offered_services_of(offer.organization)
    asked = next((one for one in services if one.service_id == offer.service), None)
    return asked is not None and all(
        asked.is_approved_for(need) if need == given.principal_need else asked.is_organization_approved(need)
        for need in given.sensitive
    )
