"""Differences between what was taken from the mailboxes and the log.

A closed message has lost its content, and an acknowledged one is not sent again. A writer to delivery's
database can hide an offer or a case in either way. The log has each end of an offer, an acceptance or a
referral, each end of an alert, and each acknowledgement of an offer or a case.

Not compared: alerts and watch reports that concern no referral, and acknowledgements of other messages, of
which there is no entry.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from admin.reconciliation.differences import Difference
from admin.reconciliation.mailbox_differences import StoredMessage
from contracts import facts
from contracts.codes import CONSENT_REVOKED, WithdrawalReason
from contracts.moments import CLOCK_TOLERANCE
from services.delivery.domain.closing import ACCEPTANCE_ENDS, ACTED_ON, COMPLETED, OFFER_ENDS
from services.delivery.domain.delivery import RECORDED, DeliveryState

OPEN: Final = "open"
_REFERRAL_ENDS: Final = frozenset(
    {facts.ReferralCompleted.type, facts.ReferralFailed.type, facts.ReferralWithdrawn.type}
)
# The facts that close a message, by the reason that is stored with it.
_ENDS: Final[Mapping[str, frozenset[str]]] = {
    **{reason: frozenset({fact}) for fact, reason in {**OFFER_ENDS, **ACCEPTANCE_ENDS}.items()},
    COMPLETED: frozenset({facts.ReferralCompleted.type}),
    "failed": frozenset({facts.ReferralFailed.type}),
    CONSENT_REVOKED: frozenset({facts.ReferralWithdrawn.type}),
    WithdrawalReason.entered_in_error: frozenset({facts.ReferralWithdrawn.type}),
    # Also of what was closed when the reason was not stored yet.
    "withdrawn": _REFERRAL_ENDS,
    ACTED_ON: frozenset({facts.AlertClosed.type, *ACCEPTANCE_ENDS}),
}
ACKNOWLEDGED: Final = facts.DeliveryAcknowledged.type
# The types of the entries that `hidden_messages` needs.
TYPES: Final = frozenset({ACKNOWLEDGED, facts.OfferOpened.type}).union(*_ENDS.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedEnd:
    """An entry of a referral that ends messages or opens an offer. data: of the fact; None once erased."""

    index: int
    message_id: str
    type: str
    time: dt.datetime
    data: Mapping[str, Any] | None


def needs_entries(message: StoredMessage) -> bool:
    """Return whether `hidden_messages` compares the message with the log. It does not for most messages."""
    return message.type in RECORDED or message.closed_at is not None


def hidden_messages(
    stored: Sequence[StoredMessage], logged: Mapping[str, Sequence[LoggedEnd]], settled: dt.datetime
) -> Iterator[Difference]:
    """Yield messages that were closed or acknowledged without an entry in the log, and the reverse.

    logged: by referral, for the messages of which `needs_entries` is true. settled: ignore later changes.
    """
    for message in stored:
        entries = logged.get(message.referral_id, ())
        found = (
            _offer(message, entries)
            or _closing(message, entries, settled)
            or _acknowledgement(message, entries, settled)
        )
        if found is not None:
            what, index = found
            whose = f"the mailbox of {message.organization} has {message.fact}"
            yield Difference(
                referral_id=message.referral_id, where="delivery", what=f"{whose} {what}", index=index
            )


def _offer(message: StoredMessage, entries: Sequence[LoggedEnd]) -> tuple[str, int | None] | None:
    """Return a difference if an offer has another id than in the log: another offer's end would close it.

    An offer that ended in a build that did not store the id has none.
    """
    opened, was_closed = _opening(message, entries), message.closed_at is not None
    if opened is None or message.offer_id == _offer_of(message, entries):
        return None
    if message.offer_id is None and was_closed:
        return None
    return "with the id of another offer", opened.index


def _opening(message: StoredMessage, entries: Sequence[LoggedEnd]) -> LoggedEnd | None:
    """Return the entry of the offer that the message is."""
    if message.type != facts.OfferOpened.type:
        return None
    same = (one for one in entries if (one.type, one.message_id) == (message.type, message.message_id))
    return next(same, None)


def _offer_of(message: StoredMessage, entries: Sequence[LoggedEnd]) -> str | None:
    """Return the id of the offer that the message is, as far as the log still says it."""
    opened = _opening(message, entries)
    said = None if opened is None or opened.data is None else opened.data.get("offer_id")
    return message.offer_id if said is None else str(said)


def _closing(
    message: StoredMessage, entries: Sequence[LoggedEnd], settled: dt.datetime
) -> tuple[str, int | None] | None:
    if (message.closed_at is None) != (message.ending in (None, OPEN)):
        return f"as {message.ending or 'never closed'}, but its time of closing contradicts that", None
    if message.closed_at is None or message.closed_at > settled:
        return None
    kinds, offer_id = _ENDS.get(message.ending or "", frozenset()), _offer_of(message, entries)
    ends = [one for one in entries if one.type in kinds and _is_of(message, offer_id, one)]
    if not ends:
        return f"closed as {message.ending}, which is not in the log", None
    first = min(ends, key=lambda one: one.time)
    if message.closed_at < first.time - CLOCK_TOLERANCE:
        return "closed before its end in the log", first.index
    return None


def _acknowledgement(
    message: StoredMessage, entries: Sequence[LoggedEnd], settled: dt.datetime
) -> tuple[str, int | None] | None:
    if message.type not in RECORDED or message.closed_at is not None:
        # A message that was closed before it was delivered is acknowledged without an entry.
        return None
    own = [
        one
        for one in entries
        if one.type == ACKNOWLEDGED
        and (
            one.data is None
            or (one.data.get("message_id"), one.data.get("organization"))
            == (message.message_id, message.organization)
        )
    ]
    if message.state == DeliveryState.acknowledged:
        is_settled = message.acknowledged_at is None or message.acknowledged_at <= settled
        return ("as acknowledged, which the log does not have", None) if is_settled and not own else None
    known = next((one for one in own if one.data is not None and one.time <= settled), None)
    return None if known is None else (f"as {message.state}, which the log has as acknowledged", known.index)


def _is_of(message: StoredMessage, offer_id: str | None, end: LoggedEnd) -> bool:
    """Return whether the end concerns the message, as far as the log still says it."""
    if end.data is None:
        return True
    if offer_id is not None and "offer_id" in end.data:
        return bool(end.data["offer_id"] == offer_id)
    if end.type in ACCEPTANCE_ENDS and message.ending != ACTED_ON:
        return bool(end.data.get("organization") == message.organization)
    if end.type == facts.AlertClosed.type:
        return bool(end.data.get("message_type") == message.type)
    return True
