"""Who is told of which fact: a table from the fact's type to the fields that name organisations, and the
facts that the coordinators share a mailbox for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from contracts import facts
from contracts.errors import Defect

_CANDIDATE = ("organization",)
_SENDER = ("sender",)
_BOTH = ("sender", "organization")

RECIPIENTS: Mapping[str, tuple[str, ...]] = {
    facts.OfferOpened.type: _CANDIDATE,
    facts.OfferAccepted.type: _BOTH,  # to the acceptor as well: its answer was in time
    facts.OfferDeclined.type: _SENDER,
    facts.OfferExpired.type: _BOTH,
    facts.OfferRevoked.type: _CANDIDATE,
    facts.AnswerRefused.type: _CANDIDATE,
    facts.SubmissionRefused.type: _CANDIDATE,
    facts.CaseRefused.type: _CANDIDATE,  # `organization` is whoever sealed it
    facts.PlacementRefused.type: (),
    facts.PlacementAnswered.type: (),
    facts.CaseUnreadable.type: _SENDER,
    facts.NoteUnreadable.type: _CANDIDATE,  # `organization` is the note's author
    facts.ReferralUnplaced.type: _SENDER,
    facts.ReferralProgressed.type: _BOTH,
    facts.ReferralCompleted.type: _BOTH,
    facts.ReferralWithdrawn.type: _BOTH,
    facts.ReferralFailed.type: _BOTH,
    facts.ReferralOverdue.type: _BOTH,
    facts.ReferralAcceptorSuspended.type: _SENDER,
    facts.ReceiptsIssued.type: _CANDIDATE,  # each party's own
    facts.ReceiptIssued.type: _CANDIDATE,  # may have waited in the queue over an upgrade
}

# The shared mailbox of everybody who has the role `coordinator`. No organisation can have this id.
COORDINATORS: Final = "coordinators"
# What the coordinators are told as well: the fact's type, and the `reason` it must have (None: any).
COORDINATED: Mapping[str, str | None] = {
    facts.PlacementRefused.type: None,
    facts.PlacementAnswered.type: None,
    facts.ReferralUnplaced.type: None,
    facts.ReferralOverdue.type: None,
    facts.OfferRevoked.type: "organization_suspended",
    facts.ReferralAcceptorSuspended.type: None,
}

# After these nobody needs the case any more.
CLOSINGS = frozenset({facts.ReferralCompleted.type, facts.ReferralWithdrawn.type, facts.ReferralFailed.type})


def recipients_of(fact_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The mailboxes that get the message, each once: organisations' ids, or `COORDINATORS`.

    data: of the CloudEvent.

    Raises Defect for a type without a place in the table: to tell nobody would be silence.
    """
    fields = RECIPIENTS.get(fact_type)
    if fields is None:
        raise Defect(f"Nobody is named as a recipient of {fact_type}.")
    # None: a referral that ended before anybody had accepted it
    told = dict.fromkeys(data[field] for field in fields if data[field] is not None)
    if fact_type in COORDINATED and COORDINATED[fact_type] in (None, data.get("reason")):
        told[COORDINATORS] = None
    return tuple(told)


def shared_mailboxes(roles: Collection[str]) -> tuple[str, ...]:
    """The mailboxes that a principal of these roles reads and acknowledges besides its own."""
    return (COORDINATORS,) if "coordinator" in roles else ()
