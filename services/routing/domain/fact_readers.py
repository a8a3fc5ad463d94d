"""The organisations that may read the facts of a referral, and how long its candidates have a part in it."""

from __future__ import annotations

import datetime as dt

from contracts.codes import OfferState
from contracts.queries import Role
from services.routing.domain.referral import Referral

# The states of an offer whose organisation has a part in the referral.
HAS_PART = frozenset({OfferState.open, OfferState.accepted})


def may_read_facts(referral: Referral, viewer: str, *, oversight: bool) -> bool:
    """Return whether the viewer may read what the referral says about the person.

    Staff and the sender, whose facts they are, always; the acceptor until the referral ends; any other
    candidate only while its offer is open. An expired offer may still become an accepted one: then the
    organisation may read the facts again.
    """
    if oversight or viewer == referral.sender:
        return True
    if referral.is_closed:
        return False
    return viewer == referral.acceptor or any(o.organization == viewer for o in referral.open_offers)


def end_of_part(referral: Referral, organization: str) -> dt.datetime | None:
    """Return when an organisation's part in a referral ended; None for the sender and while it has a part.

    It has a part while its offer is open or accepted. Later it does not learn whether another organisation
    accepts, or whether consent is withdrawn.
    """
    own = [offer for offer in referral.offers if offer.organization == organization]
    if organization in (referral.sender, referral.acceptor) or any(offer.state in HAS_PART for offer in own):
        return None
    return max((offer.closed_at for offer in own if offer.closed_at is not None), default=None)


def role_in(referral: Referral, organization: str) -> Role:
    """Return the organisation's role in a referral.

    The role `none` does not depend on the state of the referral after the organisation's part has ended.
    """
    if organization == referral.sender:
        return Role.sender
    if organization == referral.acceptor:
        return Role.acceptor
    if any(offer.organization == organization and offer.state in HAS_PART for offer in referral.offers):
        return Role.candidate
    return Role.none
