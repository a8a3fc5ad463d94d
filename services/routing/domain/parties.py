"""The parties to a referral, who alone may submit facts about it."""

from __future__ import annotations

from contracts.errors import Refused
from services.routing.domain.referral import Referral


def require_party(holds: bool, detail: str) -> None:
    """Raise Refused `not-a-party` unless the condition holds."""
    if not holds:
        raise Refused("not-a-party", detail)


def require_acceptor(referral: Referral, organization: str) -> None:
    """Raise Refused unless the organisation is the referral's acceptor.

    `not-in-this-state` if there is no acceptor, else `not-a-party`.
    """
    if referral.acceptor is None:
        raise Refused("not-in-this-state", "No organisation has accepted the referral.")
    require_party(organization == referral.acceptor, "Another organisation holds the referral.")
