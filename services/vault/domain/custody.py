"""The state machine of a case in custody, and the decisions about the case.

Cases, acceptances and closings arrive by different queues, in any order. Therefore most states accept most
events, and the table, not the order of arrival, decides which cases leave the vault.

A referral that was split keeps its case under its own id, and is never accepted itself. Each part has a
custody without a case: it follows that of the whole until it ends, and what is released under the part's id
is the case of the whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from contracts.errors import Defect, Refused
from contracts.part_id import part_id
from contracts.quick_init import quick_init

# The receiver of a case that is sealed to a key which is no longer accepted: nobody gets it.
NOBODY: Final = ""


class CustodyState(StrEnum):
    awaited = "awaited"  # the case has not arrived; its acceptance may have
    held = "held"
    released = "released"  # sent to the acceptor; kept until the referral is closed
    erased = "erased"
    refused = "refused"  # could not be opened or is invalid; nothing was kept


class CustodyEvent(StrEnum):
    arrival = "arrival"  # a valid case has arrived
    refusal = "refusal"  # the case cannot be opened, is invalid, or cannot be given to its acceptor
    acceptance = "acceptance"
    revocation = "revocation"  # the acceptance ended, also by a hand-back: another organisation may accept
    release = "release"
    replacement = "replacement"  # the sender sent the case again, sealed to its acceptor
    renewal = "renewal"  # the sender replaced the case in custody: every acceptor gets the new one
    # The referral continues in parts, which are accepted in its place, or is whole again.
    split = "split"  # type: ignore[assignment]
    closing = "closing"  # the referral is completed, withdrawn or failed


TRANSITIONS: Mapping[CustodyState, Mapping[CustodyEvent, CustodyState]] = {
    CustodyState.awaited: {
        CustodyEvent.arrival: CustodyState.held,
        CustodyEvent.refusal: CustodyState.refused,
        CustodyEvent.acceptance: CustodyState.awaited,
        CustodyEvent.revocation: CustodyState.awaited,
        CustodyEvent.split: CustodyState.awaited,
        CustodyEvent.closing: CustodyState.erased,
    },
    CustodyState.held: {
        CustodyEvent.acceptance: CustodyState.held,
        CustodyEvent.revocation: CustodyState.held,
        CustodyEvent.split: CustodyState.held,
        CustodyEvent.release: CustodyState.released,
        CustodyEvent.replacement: CustodyState.released,
        CustodyEvent.renewal: CustodyState.held,
        CustodyEvent.refusal: CustodyState.refused,
        CustodyEvent.closing: CustodyState.erased,
    },
    CustodyState.released: {
        CustodyEvent.replacement: CustodyState.released,
        CustodyEvent.renewal: CustodyState.held,
        CustodyEvent.revocation: CustodyState.held,
        CustodyEvent.closing: CustodyState.erased,
    },
    # Erasure is final: a late case is dropped, and a late acceptance releases nothing.
    CustodyState.erased: {
        CustodyEvent.arrival: CustodyState.erased,
        CustodyEvent.acceptance: CustodyState.erased,
        CustodyEvent.revocation: CustodyState.erased,
        CustodyEvent.split: CustodyState.erased,
        # The person may withdraw the consent after the end.
        CustodyEvent.closing: CustodyState.erased,
    },
    # Routing fails the referral when it receives the refusal; an acceptance may come before that.
    CustodyState.refused: {
        CustodyEvent.acceptance: CustodyState.refused,
        CustodyEvent.revocation: CustodyState.refused,
        CustodyEvent.split: CustodyState.refused,
        CustodyEvent.closing: CustodyState.refused,
    },
}


class IllegalCustodyTransition(Defect):
    """The event is illegal in this state: a message from upstream is wrong. Nothing has changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """The acceptor that routing named, and the message that named it, which causes the release.

    offer_id: the accepted offer, None for acceptances that an earlier build stored.
    """

    organization: str
    message_id: str
    correlation_id: str
    traceparent: str | None
    offer_id: str | None = None


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Custody:
    """The vault's record of a referral's case; the sealed case itself is stored separately.

    sender: known once the case or an acceptance has arrived. receiver: the organisation to whose key the case
    is sealed, None for the custody key, NOBODY for a key that is not accepted. kid: the id of that key.
    paused_until: the end of a pause of the release, as last announced to the parties. part_of: the referral
    whose case this one releases, None unless it is a part. parts: into how many the referral was split, 0 if
    it was not. replaced_by: the id of the message that last replaced the case, None if none did; a part has
    none, because the case is that of the whole.
    """

    referral_id: str
    state: CustodyState = CustodyState.awaited
    sender: str | None = None
    receiver: str | None = None
    kid: str | None = None
    acceptance: Acceptance | None = None
    paused_until: dt.datetime | None = None
    part_of: str | None = None
    parts: int = 0
    replaced_by: str | None = None

    @property
    def part_ids(self) -> tuple[str, ...]:
        """The ids of its parts, in their order."""
        return tuple(part_id(self.referral_id, position) for position in range(1, self.parts + 1))

    @property
    def case_of(self) -> str:
        """The id of the referral under which the case is kept."""
        return self.part_of or self.referral_id


class Disposition(StrEnum):
    """The outcome for a case: the way in which it leaves the vault, or that it stays."""

    stay = "stay"
    reseal = "reseal"
    forward = "forward"
    request = "request"  # the sender, who alone can seal it for this acceptor, is asked to


def step(custody: Custody, event: CustodyEvent) -> Custody:
    """Return the custody after an event. Raises IllegalCustodyTransition."""
    following = TRANSITIONS[custody.state].get(event)
    if following is None:
        raise IllegalCustodyTransition(f"Illegal {event} of a case in state {custody.state}.")
    return replace(custody, state=following)


def accept(custody: Custody, sender: str, acceptance: Acceptance) -> Custody:
    """Return the custody with its acceptor. Raises IllegalCustodyTransition when it already has one."""
    if custody.acceptance is not None:
        raise IllegalCustodyTransition("The case already has an acceptor.")
    if custody.parts:
        raise IllegalCustodyTransition("A referral that was split is accepted in parts.")
    return replace(
        step(custody, CustodyEvent.acceptance), sender=custody.sender or sender, acceptance=acceptance
    )


def revoke(custody: Custody, organization: str, offer_id: str) -> Custody:
    """Return the custody without its acceptor.

    It stays as it is while it has none: the acceptance may wait. Raises IllegalCustodyTransition if it has
    another one.
    """
    acceptance = custody.acceptance
    if acceptance is None:
        return custody
    if acceptance.organization != organization or acceptance.offer_id not in (None, offer_id):
        raise IllegalCustodyTransition("The revoked acceptance is not the case's.")
    return replace(step(custody, CustodyEvent.revocation), acceptance=None)


def split(custody: Custody, sender: str, parts: Sequence[str]) -> Custody:
    """Return the custody of a referral that continues in parts. parts: their ids, in their order.

    Raises IllegalCustodyTransition unless the ids are those of its parts, and for a referral that has an
    acceptor, was split before, is a part itself, or has another sender.
    """
    if custody.acceptance is not None or custody.parts or custody.part_of is not None:
        raise IllegalCustodyTransition("Only a whole referral without an acceptor can be split.")
    if custody.sender not in (None, sender):
        raise IllegalCustodyTransition("The split names another sender than the case.")
    after = replace(step(custody, CustodyEvent.split), sender=sender, parts=len(parts))
    if after.part_ids != tuple(parts):
        raise IllegalCustodyTransition("The ids of the parts are not derived from the referral's id.")
    return after


def rejoin(custody: Custody, parts: Sequence[str]) -> Custody:
    """Return the custody of a referral that was split and is whole again. parts: the ids of its parts.

    Raises IllegalCustodyTransition unless these are its parts.
    """
    if not custody.parts or custody.part_ids != tuple(parts):
        raise IllegalCustodyTransition("Only a referral that was split into these parts can rejoin.")
    return replace(step(custody, CustodyEvent.split), parts=0)


def leave_whole(part: Custody) -> Custody:
    """Return the custody of a part of a referral that is whole again: it releases nothing any more.

    Raises IllegalCustodyTransition for a part with an acceptor.
    """
    if part.acceptance is not None:
        raise IllegalCustodyTransition("A referral whose part has an acceptor cannot rejoin.")
    return part if part.state is CustodyState.refused else step(part, CustodyEvent.closing)


def become_part(custody: Custody, whole: Custody) -> Custody:
    """Return the custody of a part: it follows that of the whole from now on.

    Raises IllegalCustodyTransition for one that has a case or a role of its own.
    """
    if (
        custody.part_of is not None
        or custody.parts
        or custody.receiver is not None
        or custody.kid is not None
    ):
        raise IllegalCustodyTransition("The custody of a part must be new.")
    return follow(replace(custody, part_of=whole.referral_id, sender=custody.sender or whole.sender), whole)


def follow(part: Custody, whole: Custody) -> Custody:
    """Return the custody of a part after a change of the whole: its case arrived, was refused or erased."""
    if part.state is CustodyState.erased:
        return part
    match whole.state:
        case CustodyState.held if part.state is CustodyState.awaited:
            return replace(step(part, CustodyEvent.arrival), receiver=whole.receiver, kid=whole.kid)
        case CustodyState.refused if part.state is not CustodyState.refused:
            return step(part, CustodyEvent.refusal)
        case CustodyState.erased:
            return step(part, CustodyEvent.closing)
    return part


def arrive(custody: Custody, sender: str, receiver: str | None, kid: str) -> Custody:
    """Return the custody of an arrived case. Raises IllegalCustodyTransition for a second case."""
    return replace(step(custody, CustodyEvent.arrival), sender=sender, receiver=receiver, kid=kid)


def replace_for_acceptor(custody: Custody, sender: str, receiver: str, kid: str) -> Custody:
    """Return the custody after the sender sent the case again, sealed to the acceptor.

    Raises Refused: `not-a-party` unless the sender replaces it for the acceptor; `not-in-this-state` unless
    the case has been released to the acceptor, or was requested for it, and its referral is open.
    """
    awaits_sender = disposition_of(custody) is Disposition.request
    if custody.acceptance is None or not (custody.state is CustodyState.released or awaits_sender):
        raise Refused("not-in-this-state", "Only a case that was released to its acceptor can be replaced.")
    if sender != custody.sender:
        raise Refused("not-a-party", "Only the sender of a referral can replace its case.")
    if receiver != custody.acceptance.organization:
        raise Refused("not-a-party", "A case can be replaced only for the organisation that accepted it.")
    return replace(step(custody, CustodyEvent.replacement), receiver=receiver, kid=kid)


def require_newer(custody: Custody, message_id: str) -> None:
    """Require that no replacement of the case has taken effect that was submitted after this message.

    A message that had to wait may be overtaken by a later one. The ids of one intake process rise, and those
    of several as far as their clocks agree. Raises Refused `conflict`.
    """
    if custody.replaced_by is not None and message_id < custody.replaced_by:
        raise Refused("conflict", "A case that you sent later has replaced the case. This one is not used.")


def supersede(custody: Custody, receiver: str, kid: str) -> Custody:
    """Return the custody of a referral whose case in custody gave way to one sealed to `receiver`.

    One whose own case was already sealed to an acceptor stays as it is.
    """
    return custody if custody.receiver is not None else replace(custody, receiver=receiver, kid=kid)


def strand(custody: Custody) -> Custody:
    """Return the custody of a case whose key was replaced without proof: the sender must seal it again."""
    return replace(custody, receiver=NOBODY)


def renew(custody: Custody, sender: str, kid: str) -> Custody:
    """Return the custody after the sender replaced the case in custody; its acceptor gets the new one.

    Raises Refused: `not-a-party` for another organisation; `not-in-this-state` unless the vault has a case
    and its referral is open.
    """
    if custody.state not in (CustodyState.held, CustodyState.released):
        raise Refused("not-in-this-state", "The hub has no replaceable case for this referral.")
    if sender != custody.sender:
        raise Refused("not-a-party", "Only the sender of a referral can replace its case.")
    return replace(step(custody, CustodyEvent.renewal), receiver=None, kid=kid)


def disposition_of(custody: Custody) -> Disposition:
    """Return how the case can be released now. `reseal` also requires the acceptor to have a key."""
    if custody.state is not CustodyState.held or custody.acceptance is None:
        return Disposition.stay
    if custody.receiver is None:
        return Disposition.reseal
    # The vault cannot open a case sealed to an organisation, so it cannot reseal it for another one.
    return Disposition.forward if custody.receiver == custody.acceptance.organization else Disposition.request


def other_party(custody: Custody, author: str) -> str | None:
    """Return the receiver of a note by `author`; None before an acceptance is known.

    Raises Refused `not-a-party` for an author that is not a party, in every state of the referral, and
    `not-in-this-state` for a closed one.
    """
    if custody.acceptance is None or custody.sender is None:
        require_open(custody)
        return None
    parties = {
        custody.sender: custody.acceptance.organization,
        custody.acceptance.organization: custody.sender,
    }
    if author not in parties:
        raise Refused("not-a-party", "Only the sender and the accepting organisation can exchange notes.")
    require_open(custody)
    return parties[author]


def require_open(custody: Custody) -> None:
    """Raises Refused `not-in-this-state` for a closed referral, whose notes are no longer forwarded."""
    if is_closed(custody):
        raise closed()


def is_closed(custody: Custody) -> bool:
    """Return whether the case is gone: its referral has ended, or will fail because the case was refused."""
    return custody.state in (CustodyState.erased, CustodyState.refused)


def closed() -> Refused:
    """Return the refusal of a note on a closed referral."""
    return Refused("not-in-this-state", "The referral is closed; notes are no longer forwarded.")
