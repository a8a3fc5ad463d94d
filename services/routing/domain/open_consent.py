"""Whether the person's consent still covers an offer's holder, whose record may have changed."""

from __future__ import annotations

from services.routing.domain.consent_rules import is_excluded, kind_to_opt_in
from services.routing.domain.directory import Directory
from services.routing.domain.offer import Offer
from services.routing.domain.referral import Referral


def has_consent(referral: Referral, offer: Offer, directory: Directory) -> bool:
    """Return whether the consent allows the holder's kind, its parents and its country.

    The rules of `consent_rules.py` required that when the offer was opened. A holder that is unknown now
    counts as covered.
    """
    organization, consent = directory.organization(offer.organization), referral.facts.consent
    if organization is None:
        return True
    kind = kind_to_opt_in(organization, directory)
    return (
        (kind is None or kind in consent.opt_in_kinds)
        and not is_excluded(organization, consent.excluded_organizations, directory)
        and (not consent.storage_countries or organization.country in consent.storage_countries)
    )
