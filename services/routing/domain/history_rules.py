"""Hard rules about the organisation's earlier part in the referral: its offers, declines and the chain."""

from __future__ import annotations

from services.routing.domain.capacity import latest_statement
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.failure import UNTIL, Failure
from services.routing.domain.offered_service import OfferedService

NOT_DECLINED_FOR_PERSON = "not_declined_for_person"
NOT_IN_CHAIN = "not_in_chain"
NOT_ASKED_BEFORE = "not_asked_before"

# The reasons of `not_asked_before` for an organisation that is asked again once it has places.
UNTIL_THERE_ARE_PLACES = frozenset({"no_room_reported", "asked_lately"})


def not_asked_before(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not received an offer for this referral before.

    After a decline for lack of capacity it is asked again, once it has stated its capacity again and the
    policy's time has passed.
    """
    if offered.organization_id not in given.asked or offered.organization_id in given.declined_for_person:
        return None
    declined_at = given.declined_as_full.get(offered.organization_id)
    if declined_at is None:
        return Failure(rule=NOT_ASKED_BEFORE, reason="already_asked")
    if latest_statement(offered.service) <= declined_at:
        detail = {"declined_at": declined_at}
        return Failure(rule=NOT_ASKED_BEFORE, reason="no_room_reported", detail=detail)
    until = declined_at + given.full_for
    if given.now >= until:
        return None
    detail = {"declined_at": declined_at, UNTIL: until}
    return Failure(rule=NOT_ASKED_BEFORE, reason="asked_lately", detail=detail)


def not_declined_for_person(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not declined for a reason that concerns the person, whatever the need is.

    It gave the reason about this referral or another part of it: a conflict of interest, or that the person
    prefers another organisation.
    """
    reason = given.declined_for_person.get(offered.organization_id)
    return None if reason is None else Failure(rule=NOT_DECLINED_FOR_PERSON, reason=reason)


def not_in_chain(offered: OfferedService, given: Circumstances) -> Failure | None:
    """The organisation has not held the case earlier in the chain of onward referrals.

    It has passed the person on, so the person would go round in a circle. A sender that wants exactly this
    names the organisation. detail: `previous` for the organisation that sent the referral to the sender,
    which knows it, and `earlier` for others.
    """
    chain, organization = given.chain, offered.organization_id
    if chain is None or organization not in chain.holders or organization in (given.sender, given.facts.to):
        return None
    held = "previous" if organization == chain.previous else "earlier"
    return Failure(rule=NOT_IN_CHAIN, reason="held_before", detail={"held": held})
