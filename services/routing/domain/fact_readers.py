"""The organisations that may read the facts of a referral."""

from __future__ import annotations

from services.routing.domain.referral import Referral


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
