"""The state machine of a case in custody, and the decisions about it.

A case and its acceptance come by different queues, in either order; so do a closing and everything else.
That is why most states have a place for most events, and why the table, not the order of arrival, says
what may leave the vault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.errors import Defect, Refused


class CustodyState(StrEnum):
    awaited = "awaited"  # the case has not come yet; its acceptance may have
    held = "held"
    released = "released"  # on its way to the acceptor; kept until the referral is closed
    erased = "erased"
    refused = "refused"  # could not be opened or understood; nothing was kept


class CustodyEvent(StrEnum):
    arrival = "arrival"  # a case that can be kept
    refusal = "refusal"  # the case cannot be opened, understood, or given to whoever accepted
    acceptance = "acceptance"
    release = "release"
    replacement = "replacement"  # the sender sent the released case again
    closing = "closing"  # the referral is completed, withdrawn or failed


TRANSITIONS: Mapping[CustodyState, Mapping[CustodyEvent, CustodyState]] = {
    CustodyState.awaited: {
        CustodyEvent.arrival: CustodyState.held,
        CustodyEvent.refusal: CustodyState.refused,
        CustodyEvent.acceptance: CustodyState.awaited,
        CustodyEvent.closing: CustodyState.erased,
    },
    CustodyState.held: {
        CustodyEvent.acceptance: CustodyState.held,
        CustodyEvent.release: CustodyState.released,
        CustodyEvent.refusal: CustodyState.refused,
        CustodyEvent.closing: CustodyState.erased,
    },
    CustodyState.released: {
        CustodyEvent.replacement: CustodyState.released,
        CustodyEvent.closing: CustodyState.erased,
    },
    # Erased is for ever: a case that comes late is dropped, an acceptance that comes late releases nothing.
    CustodyState.erased: {
        CustodyEvent.arrival: CustodyState.erased,
        CustodyEvent.acceptance: CustodyState.erased,
    },
    # Routing hears of the refusal and fails the referral; meanwhile it may have accepted.
    CustodyState.refused: {
        CustodyEvent.acceptance: CustodyState.refused,
        CustodyEvent.closing: CustodyState.refused,
    },
}


class IllegalCustodyTransition(Defect):
    """The step has no place in this state: somebody upstream broke a promise. Nothing has changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """Whom routing named, and the message that said so: the release is that message's consequence."""

    organization: str
    message_id: str
    correlation_id: str
    traceparent: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Custody:
    """What the vault knows about one referral's case; the case itself lies elsewhere.

    sender: known once the case or an acceptance has come. receiver: whose key the sender sealed it to,
    None: the custody key. kid: that key's.
    """

    referral_id: str
    state: CustodyState = CustodyState.awaited
    sender: str | None = None
    receiver: str | None = None
    kid: str | None = None
    acceptance: Acceptance | None = None


class Disposition(StrEnum):
    """How a case leaves the vault, or why not."""

    stay = "stay"
    reseal = "reseal"
    forward = "forward"
    refuse = "refuse"


def step(custody: Custody, taken: CustodyEvent) -> Custody:
    """The custody after a step. Raises IllegalCustodyTransition."""
    following = TRANSITIONS[custody.state].get(taken)
    if following is None:
        raise IllegalCustodyTransition(f"A case that is {custody.state} takes no {taken}.")
    return replace(custody, state=following)


def accept(custody: Custody, sender: str, acceptance: Acceptance) -> Custody:
    """Routing named the acceptor. Raises IllegalCustodyTransition when it had named one before."""
    if custody.acceptance is not None:
        raise IllegalCustodyTransition("A case that was accepted is not accepted again.")
    return replace(
        step(custody, CustodyEvent.acceptance), sender=custody.sender or sender, acceptance=acceptance
    )


def arrive(custody: Custody, sender: str, receiver: str | None, kid: str) -> Custody:
    """A case that can be kept has come. Raises IllegalCustodyTransition when there was one before."""
    return replace(step(custody, CustodyEvent.arrival), sender=sender, receiver=receiver, kid=kid)


def replace_released(custody: Custody, sender: str, receiver: str, kid: str) -> Custody:
    """The sender sent the case again, sealed to the acceptor. It takes the place of the released one.

    Raises Refused: `not-a-party` for anybody but the sender, or another receiver than the acceptor;
    `not-in-this-state` unless a case has been released and its referral is open.
    """
    if custody.state is not CustodyState.released or custody.acceptance is None:
        raise Refused("not-in-this-state", "Only a case that was released to its acceptor is replaced.")
    if sender != custody.sender:
        raise Refused("not-a-party", "Only the sender of a referral replaces its case.")
    if receiver != custody.acceptance.organization:
        raise Refused("not-a-party", "The case is replaced for the organisation that accepted, and no other.")
    return replace(step(custody, CustodyEvent.replacement), receiver=receiver, kid=kid)


def disposition_of(custody: Custody) -> Disposition:
    """How the case goes to its acceptor now. `reseal` still needs the acceptor to have a key."""
    if custody.state is not CustodyState.held or custody.acceptance is None:
        return Disposition.stay
    if custody.receiver is None:
        return Disposition.reseal
    # The vault cannot open what was sealed to somebody else, so it cannot give it to a third party.
    return Disposition.forward if custody.receiver == custody.acceptance.organization else Disposition.refuse


def sender_for(custody: Custody) -> str | None:
    """The organisation that a decline's note is for; None while the case has not come.

    Raises Refused `not-in-this-state` for a referral that is closed.
    """
    _require_open(custody)
    return custody.sender


def other_party(custody: Custody, author: str) -> str | None:
    """Whom a note by `author` is for; None while nobody is known to have accepted.

    Raises Refused `not-in-this-state` for a referral that is closed, `not-a-party` for a stranger's note.
    """
    _require_open(custody)
    if custody.acceptance is None or custody.sender is None:
        return None
    parties = {
        custody.sender: custody.acceptance.organization,
        custody.acceptance.organization: custody.sender,
    }
    if author not in parties:
        raise Refused("not-a-party", "Only the sender and the accepting organisation exchange notes.")
    return parties[author]


def _require_open(custody: Custody) -> None:
    if custody.state in (CustodyState.erased, CustodyState.refused):
        raise Refused("not-in-this-state", "The referral is closed; notes are no longer passed on.")
