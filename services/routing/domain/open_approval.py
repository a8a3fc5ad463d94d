"""Whether the network still approves the holder of an offer for the sensitive needs of its referral."""

from __future__ import annotations

from services.routing.domain.circumstances import Circumstances
from services.routing.domain.offer import Offer
from services.routing.domain.rules import service_approved


def is_approved(offer: Offer, given: Circumstances) -> bool:
    """Return whether the rule `service_approved` holds now for the service that was asked.

    False for a referral with sensitive needs if the organisation no longer has this service.
    """
    if not given.sensitive:
        return True
    services = given.directory.offered_services_of(offer.organization)
    asked = next((one for one in services if one.service_id == offer.service), None)
    return asked is not None and service_approved(asked, given) is None
