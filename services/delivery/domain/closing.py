"""Closing of messages: which ones carry content about a person, when it is erased, and what replaces it.

A closed message keeps its place and id in the mailbox, so that cursors and acknowledgements stay valid. Its
content is gone; a poll returns a `message.closed` event with the id of the message instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contracts import facts
from contracts.codes import CONSENT_REVOKED, WithdrawalReason
from contracts.envelope import Event
from contracts.facts import MessageClosed
from services.delivery.domain.alert_subjects import alert_subject, decided_subject
from services.delivery.domain.recipients import COORDINATORS

# The messages with facts about a person, or with a sealed text about one. `referral.unanswered` says that the
# referral is an emergency. A watch report names its reporter (`report_closing.py`).
CARRIERS: Final = frozenset(
    {
        facts.OfferOpened.type,
        facts.NoteDelivered.type,
        facts.ReferralUnplaced.type,
        facts.ReferralUnanswered.type,
        facts.ReferralAcceptorSuspended.type,
        facts.PartOpened.type,
        facts.EmployerReportDelivered.type,
    }
)

# The coordinators' messages that ask them to act on a referral, until `alert.closed`, or until the acceptor
# that declined another part has left this one. Other recipients keep theirs. `alert_subjects.py` has the
# alerts that are about no referral.
ALERTS: Final = frozenset(
    {
        facts.ReferralUnplaced.type,
        facts.ReferralUnanswered.type,
        facts.ReferralOverdue.type,
        facts.ReferralAcceptorSuspended.type,
        facts.ReferralAcceptorDeclinedPart.type,
    }
)

# The facts that end an offer without an acceptance, with the reason of the closing. `offer.expired` is
# provisional, but an organisation whose answer was in time has read the offer.
OFFER_ENDS: Final[Mapping[str, str]] = {
    facts.OfferDeclined.type: "declined",
    facts.OfferExpired.type: "expired",
    facts.OfferRevoked.type: "revoked",
}

# The facts after which an organisation no longer holds a referral that remains open.
ACCEPTANCE_ENDS: Final[Mapping[str, str]] = {
    facts.AcceptanceRevoked.type: "acceptance_revoked",
    facts.ReferralHandedBack.type: "handed_back",
}

COMPLETED: Final = "completed"
# A message of the coordinators that asked for an act.
ACTED_ON: Final = "acted_on"
# The acceptor may report the outcome and send its last note together: the sender must be able to read it.
UNREAD_NOTES_KEPT: Final = dt.timedelta(days=14)


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """The end of an offer or a referral. reason: as in `MessageClosed`."""

    reason: str
    at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedMessage:
    """The remainder of a message whose content was erased.

    referral_id: "" for a watch report, and for an alert that is about no referral.
    """

    message_id: str
    type: str
    referral_id: str
    correlation_id: str
    end: End

    def body(self, source: str) -> bytes:
        """Return the event that stands for the message. source: delivery's own, such as `/kg/delivery`."""
        closed = MessageClosed(
            referral_id=self.referral_id or None,
            message_type=self.type,
            reason=self.end.reason,
            closed_at=self.end.at,
        )
        return Event(
            id=self.message_id,
            source=source,
            time=self.end.at,
            partition_key=self.referral_id or self.message_id,
            correlation_id=self.correlation_id,
            causation_id=None,
            data=closed,
        ).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenMessage:
    """A message whose content has not been erased. offer_id: of `offer.opened`, else None.

    acceptance: the accepted offer by which the organisation got a note; None for the sender's, and for notes
    that an earlier build stored. subject: of an alert that is about no referral, else None.
    """

    sequence: int
    type: str
    referral_id: str
    organization: str
    offer_id: str | None
    acceptance: str | None
    subject: str | None
    is_acknowledged: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """The ends that a batch of facts states.

    offers, referrals: by id; offers also holds those whose acceptance ended. acceptances: by referral and
    organisation. alerts: by referral and type of the message. referral_ids: every referral that an end
    concerns. subjects: of the alerts that are about no referral. followed_alerts, followed_subjects: those
    that new alerts in the same batch follow; they close only what was stored before the batch.
    """

    offers: dict[str, End] = field(default_factory=dict)
    acceptances: dict[tuple[str, str], End] = field(default_factory=dict)
    alerts: dict[tuple[str, str], End] = field(default_factory=dict)
    referrals: dict[str, End] = field(default_factory=dict)
    referral_ids: set[str] = field(default_factory=set)
    subjects: dict[str, End] = field(default_factory=dict)
    followed_alerts: dict[tuple[str, str], End] = field(default_factory=dict)
    followed_subjects: dict[str, End] = field(default_factory=dict)

    def add(self, fact_type: str, data: Mapping[str, Any], now: dt.datetime) -> None:
        """Add the end that a fact states, if it states one. data: of the CloudEvent."""
        if fact_type in ALERTS:
            # A new alert: an earlier end does not close it.
            alert = (data["referral_id"], fact_type)
            if (ended := self.alerts.pop(alert, None)) is not None:
                self.followed_alerts[alert] = ended
            return
        if (subject := alert_subject(fact_type, data)) is not None:
            if (ended := self.subjects.pop(subject, None)) is not None:
                self.followed_subjects[subject] = ended
            return
        if (subject := decided_subject(fact_type, data)) is not None:
            self.subjects[subject] = End(reason=ACTED_ON, at=now)
            return
        if fact_type == facts.AlertClosed.type:
            self.alerts[data["referral_id"], data["message_type"]] = End(reason=ACTED_ON, at=now)
        elif (reason := OFFER_ENDS.get(fact_type)) is not None:
            self.offers.setdefault(data["offer_id"], End(reason=reason, at=now))
        elif (reason := ACCEPTANCE_ENDS.get(fact_type)) is not None:
            end = End(reason=reason, at=now)
            # In place of its expiry, which was provisional.
            self.offers[data["offer_id"]] = end
            self.acceptances[data["referral_id"], data["organization"]] = end
            declined_part = facts.ReferralAcceptorDeclinedPart.type
            self.alerts[data["referral_id"], declined_part] = End(reason=ACTED_ON, at=now)
        elif (reason := referral_end(fact_type, data)) is not None:
            self.referrals.setdefault(data["referral_id"], End(reason=reason, at=now))
        else:
            return
        self.referral_ids.add(data["referral_id"])

    def of_stored_messages(self) -> Ends | None:
        """Return all the ends, for what was stored before the batch; None if no new alert follows an end."""
        if not self.followed_alerts and not self.followed_subjects:
            return None
        return replace(
            self,
            alerts={**self.followed_alerts, **self.alerts},
            subjects={**self.followed_subjects, **self.subjects},
        )

    def of(self, message: OpenMessage) -> End | None:
        """Return the end that closes the message; that of the referral last, because it says the least.

        The end of an acceptance does not close another offer to the same organisation, nor the notes of its
        next acceptance: a coordinator may have placed the referral there again, and delivery may read the end
        later.
        """
        if message.subject is not None:
            return self.subjects.get(message.subject)
        if message.offer_id is not None:
            own = self.offers.get(message.offer_id)
        elif message.acceptance is not None:
            own = acceptance_end(self.offers.get(message.acceptance))
        else:
            own = self.acceptances.get((message.referral_id, message.organization))
            if message.organization == COORDINATORS:
                own = self.alerts.get((message.referral_id, message.type))
        return own or self.referrals.get(message.referral_id)


def acceptance_end(end: End | None) -> End | None:
    """Return the end of an accepted offer if the acceptance has ended; None for a provisional expiry."""
    return end if end is not None and end.reason in ACCEPTANCE_ENDS.values() else None


def is_closed_later(message_type: str, mailbox: str) -> bool:
    """Return whether an end may close the message: it has content about a person, or asks for an act."""
    return message_type in CARRIERS or (mailbox == COORDINATORS and message_type in ALERTS)


def referral_end(fact_type: str, data: Mapping[str, Any]) -> str | None:
    """Return the reason why the fact ends its referral, None if it does not. data: of the CloudEvent."""
    if fact_type == facts.ReferralCompleted.type:
        return COMPLETED
    if fact_type == facts.ReferralFailed.type:
        return "failed"
    if fact_type != facts.ReferralWithdrawn.type:
        return None
    reason = data["reason"]
    return reason if reason in (CONSENT_REVOKED, WithdrawalReason.entered_in_error) else "withdrawn"


def kept_until(message_type: str, end: End, *, is_acknowledged: bool = False) -> dt.datetime | None:
    """Return until when a message outlasts the end; None if it is closed at once."""
    if message_type == facts.NoteDelivered.type and end.reason == COMPLETED and not is_acknowledged:
        return end.at + UNREAD_NOTES_KEPT
    return None
