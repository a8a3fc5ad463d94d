"""Who is told of which fact: one table, from the fact's type to the fields that name organisations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    facts.CaseUnreadable.type: _SENDER,
    facts.NoteUnreadable.type: _CANDIDATE,  # `organization` is the note's author
    facts.ReferralUnplaced.type: _SENDER,
    facts.ReferralProgressed.type: _BOTH,
    facts.ReferralCompleted.type: _BOTH,
    facts.ReferralWithdrawn.type: _BOTH,
    facts.ReferralFailed.type: _BOTH,
    facts.ReferralOverdue.type: _BOTH,
    facts.ReceiptsIssued.type: _CANDIDATE,  # each party's own
    facts.ReceiptIssued.type: _CANDIDATE,  # may have waited in the queue over an upgrade
}

# After these nobody needs the case any more.
CLOSINGS = frozenset({facts.ReferralCompleted.type, facts.ReferralWithdrawn.type, facts.ReferralFailed.type})


def recipients_of(fact_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The organisations whose mailboxes get the message, each once. data: of the CloudEvent.

    Raises Defect for a type without a place in the table: to tell nobody would be silence.
    """
    fields = RECIPIENTS.get(fact_type)
    if fields is None:
        raise Defect(f"Nobody is named as a recipient of {fact_type}.")
    # None: a referral that ended before anybody had accepted it
    return tuple(dict.fromkeys(data[field] for field in fields if data[field] is not None))
