"""The next action about a referral: who must act, since when, and until when.

`next_action` decides from `TraceRecords` alone. Each state of the lifecycle has a rule in `RULES`; a test
fails for a state without one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kopuro_client.records import MessageState, Offer, Referral
from kopuro_client.tracing.evidence import TraceRecords, moment_of, short_fact

# The hub's timers and consumers take seconds; a step that is later than this is stuck.
LATE: Final = dt.timedelta(minutes=1)


class Owner(StrEnum):
    """The one who must act."""

    you = "you"
    hub = "hub"  # its software; its operators if the software does not continue
    other = "other"  # another organisation
    network = "network"  # its coordinators: nobody has accepted
    nobody = "nobody"


class Action(StrEnum):
    """The awaited step."""

    submit = "submit"  # nothing is known under this id or key
    reach = "reach"  # a service of the hub does not answer
    publish = "publish"  # intake has it, the broker does not
    decide = "decide"  # routing has not read it
    deliver = "deliver"  # the offer is not in the mailbox
    close_offer = "close_offer"  # the deadline has passed, the offer is still open
    answer = "answer"
    place = "place"
    place_named = "place_named"  # the referral is for one organisation alone
    place_elsewhere = "place_elsewhere"  # the acceptor was suspended
    release = "release"  # the vault has not released the case
    end_pause = "end_pause"  # the vault holds the case, because the acceptor's key was replaced
    open_case = "open_case"
    replace_case = "replace_case"
    replace_case_overdue = "replace_case_overdue"
    report = "report"
    report_overdue = "report_overdue"
    submit_again = "submit_again"
    submit_unlinked = "submit_unlinked"  # submit it again without onward_from, or with the right one
    read_message = "read_message"  # it is about no referral, such as a credential that expires
    message_read = "message_read"
    offer_ended = "offer_ended"
    await_parts = "await_parts"  # the referral was split
    ended = "ended"
    unknown_state = "unknown_state"  # a state of a newer hub


# The reasons of `referral.failed` that concern `onward_from`.
_BROKEN_CHAIN: Final = frozenset({"not_the_acceptor", "chain_too_long", "too_many_onward"})


@dataclass(frozen=True, kw_only=True, slots=True)
class NextAction:
    """The next action.

    organizations: whose turn it is, if it is that of organisations; for `place_named`, the only one that can
    be asked. since, until: RFC 3339. until: what happens then depends on the action; None if nothing ends the
    waiting. subject: the id that a command about it needs: an offer's, a referral's or a submission's.
    services: those that do not answer. also_coordinators: another part of the referral waits for them.
    """

    owner: Owner
    action: Action
    organizations: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    subject: str | None = None
    services: tuple[str, ...] = ()
    also_coordinators: bool = False


def next_action(evidence: TraceRecords) -> NextAction:
    """Return whose turn it is. Total: any evidence has an answer."""
    undecided = evidence.undecided()
    referral = evidence.referral
    if undecided is not None and not (referral is not None and referral["status"] in ENDS):
        action = Action.decide if undecided["published"] else Action.publish
        return NextAction(
            owner=Owner.hub, action=action, since=undecided["admitted_at"], subject=undecided["id"]
        )
    if referral is None:
        if evidence.messages and evidence.messages[0]["referral_id"] is None:
            return _about_message(evidence, evidence.messages[0])
        if evidence.silent:
            return NextAction(owner=Owner.hub, action=Action.reach, services=tuple(sorted(evidence.silent)))
        return NextAction(owner=Owner.you, action=Action.submit)
    rule = RULES.get(referral["status"])
    if rule is None:
        return NextAction(owner=Owner.nobody, action=Action.unknown_state, subject=referral["status"])
    return rule(evidence, referral)


def _about_message(evidence: TraceRecords, message: MessageState) -> NextAction:
    """Return the turn of a mailbox's owner to read a message that is about no referral."""
    if message["acknowledged_at"] is not None:
        return NextAction(owner=Owner.nobody, action=Action.message_read, since=message["acknowledged_at"])
    owner = message["organization"]
    if owner is None:
        return NextAction(
            owner=Owner.network,
            action=Action.read_message,
            since=message["queued_at"],
            subject=message["message_id"],
        )
    return _of(
        evidence, owner, Action.read_message, since=message["queued_at"], subject=message["message_id"]
    )


def _requested(evidence: TraceRecords, referral: Referral) -> NextAction:
    return NextAction(
        owner=Owner.hub, action=Action.decide, since=referral["updated_at"], subject=referral["id"]
    )


def _offered(evidence: TraceRecords, referral: Referral) -> NextAction:
    waiting = [offer for offer in referral["offers"] if offer["state"] == "open"]
    own = [offer for offer in waiting if offer["organization"] == evidence.viewer]
    if not waiting:
        if evidence.viewer not in (None, referral["sender"]):
            return _offer_ended(referral)
        return _requested(evidence, referral)
    shown = own or waiting
    late = [offer for offer in shown if evidence.now > moment_of(offer["deadline"]) + LATE]
    if late:
        return _about_offers(Owner.hub, Action.close_offer, late, since=late[0]["deadline"])
    missing = [offer for offer in shown if not _is_delivered(evidence, offer)]
    if missing:
        return _about_offers(Owner.hub, Action.deliver, missing, since=missing[0]["opened_at"])
    return _about_offers(
        Owner.you if own else Owner.other,
        Action.answer,
        shown,
        since=min(offer["opened_at"] for offer in shown),
        until=min(offer["deadline"] for offer in shown),
    )


def _unplaced(evidence: TraceRecords, referral: Referral) -> NextAction:
    if evidence.viewer not in (None, referral["sender"]):
        return _offer_ended(referral)
    step = evidence.last("referral.unplaced", "acceptance.revoked")
    since = referral["updated_at"] if step is None else step["time"]
    # The case is sealed to it: no other organisation can be asked.
    named = (referral["facts"] or {}).get("to")
    return NextAction(
        owner=Owner.network,
        action=Action.place if named is None else Action.place_named,
        organizations=() if named is None else (named,),
        since=since,
        subject=referral["id"],
    )


def _split(evidence: TraceRecords, referral: Referral) -> NextAction:
    """Return whose turn it is in the open parts; the coordinators' if nobody else can act."""
    parts = [part for part in referral.get("parts", ()) if part["status"] not in ENDS]
    if not parts:  # a former candidate for the whole does not see them
        return _offer_ended(referral)
    awaited = tuple(dict.fromkeys(name for part in parts for name in part["waits_for"]))
    unplaced = [part for part in parts if part["status"] == "unplaced"]
    return NextAction(
        owner=Owner.other if awaited else Owner.network,
        action=Action.await_parts,
        organizations=awaited,
        since=referral["updated_at"],
        subject=(unplaced or parts)[0]["id"],
        also_coordinators=bool(awaited and unplaced),
    )


def _accepted(evidence: TraceRecords, referral: Referral) -> NextAction:
    if referral["acceptor"] is None:  # a candidate whose offer has ended does not see it
        return _offer_ended(referral)
    return (
        _excluded(evidence, referral)
        or _replacement(evidence, referral)
        or _release(evidence, referral)
        or _report(evidence, referral)
    )


def _held(evidence: TraceRecords, referral: Referral) -> NextAction:
    if referral["acceptor"] is None:
        return _offer_ended(referral)
    return _excluded(evidence, referral) or _replacement(evidence, referral) or _report(evidence, referral)


def _failed(evidence: TraceRecords, referral: Referral) -> NextAction:
    if evidence.viewer == referral["sender"]:
        step = evidence.last("referral.failed")
        is_unlinked = step is not None and (step["detail"] or {}).get("reason") in _BROKEN_CHAIN
        action = Action.submit_unlinked if is_unlinked else Action.submit_again
        return NextAction(
            owner=Owner.you, action=action, since=referral["updated_at"], subject=referral["id"]
        )
    return _ended(evidence, referral)


def _ended(evidence: TraceRecords, referral: Referral) -> NextAction:
    return NextAction(owner=Owner.nobody, action=Action.ended, since=referral["updated_at"])


def _offer_ended(referral: Referral) -> NextAction:
    ends = [offer["closed_at"] for offer in referral["offers"] if offer.get("closed_at") is not None]
    return NextAction(owner=Owner.nobody, action=Action.offer_ended, since=ends[-1] if ends else None)


def _excluded(evidence: TraceRecords, referral: Referral) -> NextAction | None:
    """Return the coordinators' turn while the acceptor is suspended or inactive.

    Its readmission is not a step of the referral: an acceptor that asks, that has reported since, or that the
    directory does not exclude now has been readmitted. If the directory was not asked, the sentence leaves it
    open.
    """
    acceptor = evidence.acceptor_suspended
    step = evidence.last("referral.acceptor_suspended")
    if acceptor is None or step is None or evidence.viewer == acceptor:
        return None
    if evidence.is_acceptor_excluded is False:
        return None
    return NextAction(
        owner=Owner.network,
        action=Action.place_elsewhere,
        organizations=(acceptor,),
        since=step["time"],
        subject=referral["id"],
    )


def _replacement(evidence: TraceRecords, referral: Referral) -> NextAction | None:
    """Return the sender's turn while the acceptor cannot read the case, or has none."""
    step = evidence.last("case.unreadable", "case.requested", "replacement.submitted", "offer.accepted")
    if step is None or step["fact"] not in ("case.unreadable", "case.requested"):
        return None
    overdue = referral.get("overdue_since")
    if overdue is not None:
        return _of(
            evidence,
            referral["sender"],
            Action.replace_case_overdue,
            since=overdue,
            subject=referral["id"],
        )
    return _of(
        evidence,
        referral["sender"],
        Action.replace_case,
        since=step["time"],
        until=(step["detail"] or {}).get("replace_by") or referral.get("due_at"),
        subject=referral["id"],
    )


def _release(evidence: TraceRecords, referral: Referral) -> NextAction | None:
    """Return the vault's turn, or the acceptor's to open the case; None once it was opened.

    Only the acceptor and staff know where the case is.
    """
    acceptor = referral["acceptor"]
    if acceptor is None or evidence.viewer not in (None, acceptor) or "delivery" in evidence.silent:
        return None
    accepted = evidence.last("offer.accepted")
    since = referral["updated_at"] if accepted is None else accepted["time"]
    if any(one.fact == "case.fetched" and one.time >= moment_of(since) - LATE for one in evidence.entries):
        return None
    released = _release_message(evidence, acceptor, since)
    if released is not None and released["state"] == "acknowledged":
        return None
    if released is not None:
        is_overdue = referral.get("overdue_since") is not None
        if is_overdue and evidence.viewer != acceptor:
            return None  # staff must learn that the report is overdue; the acceptor opens the case first
        return _of(
            evidence,
            acceptor,
            Action.open_case,
            since=released["queued_at"],
            until=None if is_overdue else referral.get("due_at"),
            subject=referral["id"],
        )
    paused = evidence.last("case.paused", "offer.accepted")
    if paused is not None and paused["fact"] == "case.paused":
        return NextAction(
            owner=Owner.hub,
            action=Action.end_pause,
            since=paused["time"],
            until=(paused["detail"] or {}).get("until"),
            subject=referral["id"],
        )
    return NextAction(owner=Owner.hub, action=Action.release, since=since, subject=referral["id"])


def _report(evidence: TraceRecords, referral: Referral) -> NextAction:
    acceptor = referral["acceptor"]
    assert acceptor is not None
    overdue = referral.get("overdue_since")
    if overdue is not None:
        return _of(evidence, acceptor, Action.report_overdue, since=overdue, subject=referral["id"])
    return _of(
        evidence,
        acceptor,
        Action.report,
        since=referral["updated_at"],
        until=referral.get("due_at"),
        subject=referral["id"],
    )


def _release_message(evidence: TraceRecords, acceptor: str, since: str) -> MessageState | None:
    """Return the newest `case.released` in the acceptor's mailbox since the acceptance."""
    found = [
        one
        for one in evidence.messages
        if short_fact(one["type"]) == "case.released"
        and one["organization"] == acceptor
        and moment_of(one["queued_at"]) >= moment_of(since) - LATE  # the services' clocks may differ
    ]
    return found[-1] if found else None


def _is_delivered(evidence: TraceRecords, offer: Offer) -> bool:
    """Return whether the offer is in a mailbox; True for viewers who cannot know, such as the sender."""
    if "delivery" in evidence.silent or evidence.viewer not in (None, offer["organization"]):
        return True
    return any(one["offer_id"] == offer["id"] for one in evidence.messages)


def _about_offers(
    owner: Owner, action: Action, offers: list[Offer], *, since: str, until: str | None = None
) -> NextAction:
    return NextAction(
        owner=owner,
        action=action,
        organizations=tuple(offer["organization"] for offer in offers),
        since=since,
        until=until,
        subject=offers[0]["id"],
    )


def _of(
    evidence: TraceRecords,
    organization: str,
    action: Action,
    *,
    since: str,
    until: str | None = None,
    subject: str | None = None,
) -> NextAction:
    return NextAction(
        owner=Owner.you if evidence.viewer == organization else Owner.other,
        action=action,
        organizations=(organization,),
        since=since,
        until=until,
        subject=subject,
    )


# status of the referral -> the rule for it.
RULES: Final[Mapping[str, Callable[[TraceRecords, Referral], NextAction]]] = {
    "requested": _requested,
    "offered": _offered,
    "unplaced": _unplaced,
    "accepted": _accepted,
    "in_progress": _held,
    "on_hold": _held,
    "split": _split,
    "completed": _ended,
    "withdrawn": _ended,
    "failed": _failed,
    "entered_in_error": _ended,
}
ENDS: Final = frozenset({"completed", "withdrawn", "failed", "entered_in_error"})
