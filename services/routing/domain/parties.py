"""The parties to a referral, who alone may submit facts about it."""

from __future__ import annotations

from contracts.errors import Refused
from contracts.queries import NOT_THE_ACCEPTOR
from services.routing.domain.referral import Referral


def require_party(holds: bool, detail: str) -> None:
    """Raise Refused `not-a-party` unless the condition holds."""
    if not holds:
        raise Refused("not-a-party", detail)


def require_acceptor(referral: Referral, organization: str) -> None:
    """Raise Refused `not-a-party` unless the organisation is the referral's acceptor.

    The refusal is the same whether nobody has accepted or another organisation has. A present or former
    candidate must not learn that from a statement.
    """
    require_party(organization == referral.acceptor, NOT_THE_ACCEPTOR)
