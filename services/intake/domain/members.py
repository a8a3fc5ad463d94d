"""The network's members as intake knows them: standing and sealing key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contracts.errors import PointerError, Refused
from contracts.organization import Organization, ReplacedKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """An organisation.

    kid: the id of its sealing key, None while it has published none. earlier_kids: of the keys before that.
    replaced: keys that their holder replaced and that are accepted for cases until their end. paused_until:
    nothing about a person goes to its key before; None if something may.
    """

    id: str
    in_good_standing: bool
    kid: str | None
    earlier_kids: frozenset[str] = frozenset()
    replaced: tuple[ReplacedKey, ...] = ()
    paused_until: dt.datetime | None = None


Members = Callable[[str], Member | None]


def member_of(
    organization: Organization,
    earlier_kids: frozenset[str] = frozenset(),
    *,
    pause: dt.timedelta = dt.timedelta(),
) -> Member:
    """Return the member for an organisation's record. pause: after a replacement of its key without proof."""
    change = organization.sealing_key_change
    return Member(
        id=organization.id,
        in_good_standing=organization.in_good_standing,
        kid=organization.sealing_key.kid if organization.sealing_key else None,
        earlier_kids=earlier_kids,
        replaced=() if change is None else change.replaced,
        paused_until=None if change is None else change.paused_until(pause),
    )


def require_good_standing(members: Members, organization: str) -> None:
    """Raises Refused `forbidden` unless the organisation is active and vetted."""
    member = members(organization)
    if member is None or not member.in_good_standing:
        raise Refused("forbidden", "Only active and vetted organisations may send or accept referrals.")


def receiver_keys(members: Members, receiver: str) -> frozenset[str]:
    """Return the ids of the keys that a case for this receiver may be sealed to.

    `Members` gives replaced keys only while they are accepted. Raises Refused with pointer /to.
    """
    member = members(receiver)
    if member is None:
        where = PointerError(pointer="/to", detail="The directory has no organisation with this id.")
        raise Refused("unknown-organization", "No case can be sent to this receiver.", errors=(where,))
    if member.kid is None:
        where = PointerError(pointer="/to", detail="This organisation has published no sealing key.")
        raise Refused("receiver-has-no-key", "The receiver cannot receive cases yet.", errors=(where,))
    return frozenset({member.kid, *(key.kid for key in member.replaced)})


def paused_until(
    members: Members, organizations: Iterable[str], kid: str, now: dt.datetime
) -> dt.datetime | None:
    """Return until when nothing may be sealed to those of the organisations that have or had this key.

    None if something may. An earlier key counts too: the pause is the organisation's.
    """
    ends = [
        member.paused_until
        for name in organizations
        if (member := members(name)) is not None
        and member.paused_until is not None
        and now < member.paused_until
        and kid in keys_of(members, [name])
    ]
    return max(ends, default=None)


def keys_of(members: Members, organizations: Iterable[str]) -> frozenset[str]:
    """Return the ids of the current and earlier keys of these organisations.

    A note may have been sealed just before its receiver replaced the key.
    """
    known = [member for name in organizations if (member := members(name)) is not None]
    current = {member.kid for member in known if member.kid is not None}
    return frozenset(current.union(*(member.earlier_kids for member in known)))
