"""The members of the network as the door needs them: who may submit, and whose key seals a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts.errors import PointerError, Refused
from contracts.organization import Organization


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """kid: the id of its sealing key, None while it has published none."""

    id: str
    in_good_standing: bool
    kid: str | None


Members = Callable[[str], Member | None]


def member_of(organization: Organization) -> Member:
    """What the door keeps of an organisation's record."""
    return Member(
        id=organization.id,
        in_good_standing=organization.in_good_standing,
        kid=organization.sealing_key.kid if organization.sealing_key else None,
    )


def require_good_standing(members: Members, organization: str) -> None:
    """Raises Refused `forbidden` for an organisation that is not vetted, suspended or gone."""
    member = members(organization)
    if member is None or not member.in_good_standing:
        raise Refused("forbidden", "Only active and vetted organisations may send or accept referrals.")


def receiver_key(members: Members, receiver: str) -> str:
    """The key id that a case for a named receiver must be sealed to. Raises Refused, pointing at /to."""
    member = members(receiver)
    if member is None:
        where = PointerError(pointer="/to", detail="Not an organisation of the directory.")
        raise Refused("unknown-organization", "The receiver is not known here.", errors=(where,))
    if member.kid is None:
        where = PointerError(pointer="/to", detail="This organisation has published no sealing key.")
        raise Refused("receiver-has-no-key", "The receiver cannot be sent a case yet.", errors=(where,))
    return member.kid
