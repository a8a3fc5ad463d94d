"""Delivery's tables."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.messaging import MESSAGING, REPLICA
from admin.reconciliation.coverage.rules import Compared, Reason, Tables, omitted

DELIVERY: Final[Tables] = {
    **MESSAGING,
    **REPLICA,
    "mailbox_messages": {
        "organization": Compared("offer.accepted", "sender"),
        "message_id": Compared("offer.accepted", "id"),
        "type": Compared("offer.accepted", "data"),
        "body": Compared("offer.accepted", "data"),
        **omitted(Reason.bookkeeping, "the order and the cursor", "sequence"),
        "referral_id": Compared("offer.accepted", "referral_id"),
        **omitted(Reason.bookkeeping, "tracing", "correlation_id"),
        # The log has an entry for each acknowledged offer or case, and for no other message.
        "state": Compared("delivery.acknowledged", "message_id"),
        **omitted(
            Reason.uncompared,
            "delivery.delivered and delivery.acknowledged have the times; the state is compared",
            *("delivered_at", "acknowledged_at"),
        ),
        **omitted(Reason.bookkeeping, "only one in the future is named", "queued_at"),
        **omitted(Reason.bookkeeping, "when the row is deleted", "forget_after"),
        "offer_id": Compared("offer.opened", "offer_id"),
        **omitted(
            Reason.uncompared,
            "what an alert is about; a closed body lacks it, and a wrong subject closes the alert too early",
            "subject",
        ),
        **omitted(Reason.uncompared, "the acceptance of a note, which the log does not have", "acceptance"),
        # Why the body of a message about a referral was erased; `message_ends.py` has the facts of each.
        "content": Compared("referral.withdrawn", "reason"),
        "closed_at": Compared("offer.declined", "time"),
        **omitted(Reason.derived, "when the note of a completed referral is erased", "closes_at"),
    },
    "case_letters": {
        "referral_id": Compared("case.released", "referral_id"),
        "organization": Compared("case.released", "organization"),
        **omitted(Reason.sealed, "no fact has its digest; only a missing one is named", "sealed_case"),
        **omitted(Reason.uncompared, "the offer of the acceptance", "offer_id"),
        **omitted(Reason.uncompared, "time and reason of the end", "closed_at", "closed_because"),
    },
    "alert_counts": omitted(
        Reason.derived,
        "counts of alerts (alerts.counted)",
        *("since", "organization", "type", "urgency", "messages"),
    ),
    "mailbox_consumers": omitted(
        Reason.unstated,
        "an owner's consumer: a later position leaves out messages, and moves with each acknowledgement",
        *("organization", "name", "position", "types", "contract", "created_at"),
    ),
    "consumer_acknowledgements": omitted(
        Reason.unstated, "what a consumer no longer needs", "organization", "consumer", "sequence"
    ),
    "ended_offers": omitted(
        Reason.derived, "ends of offers, for offers that come later", "offer_id", "reason", "ended_at"
    ),
    "ended_acceptances": omitted(
        Reason.derived, "ends of acceptances, for cases that come later", "offer_id", "ended_at"
    ),
    "delivered_reports": omitted(
        Reason.derived,
        "the watch reports in mailboxes",
        *("message_id", "report_id", "organization", "sent_at", "expires_at"),
    ),
    "report_ends": omitted(
        Reason.derived, "ends of watch reports, for reports that come later", "subject", "reason", "ended_at"
    ),
    "webhook_endpoints": {
        "id": Compared("webhook.changed", "endpoint_id"),
        "organization": Compared("webhook.changed", "organization"),
        # They open the commitment. Without one, as in facts of earlier builds, the host is compared.
        "url": Compared("webhook.changed", "commitment"),
        "types": Compared("webhook.changed", "commitment"),
        "salt": Compared("webhook.changed", "commitment"),
        "created_at": Compared("webhook.changed", "time"),
        "state": Compared("webhook.changed", "state"),
        **omitted(
            Reason.derived, "why and when it was disabled; the state is compared", "reason", "disabled_at"
        ),
        **omitted(
            Reason.bookkeeping,
            "a later position leaves out notices, of messages that are in the mailbox anyway",
            "position",
        ),
        **omitted(
            Reason.bookkeeping, "the text that the URL must repeat; the state is compared", "challenge"
        ),
        **omitted(
            Reason.bookkeeping,
            "how long it has failed; a disabled endpoint has an entry",
            *("failing_since", "last_failure", "noticed"),
        ),
    },
    "webhook_secrets": {
        **omitted(Reason.bookkeeping, "the order", "number"),
        "endpoint_id": Compared("webhook.changed", "endpoint_id"),
        "sealed": Compared("webhook.changed", "secret"),
        "created_at": Compared("webhook.changed", "time"),
        # The previous secret signs for a day after a rotation.
        "expires_at": Compared("webhook.changed", "time"),
    },
    "webhook_notices": omitted(
        Reason.bookkeeping,
        "notices of messages that are in the mailbox anyway",
        *("number", "endpoint_id", "message_id", "type", "referral_id", "sequence", "queued_at", "haste"),
        *("until", "state", "attempts", "due_at", "ended_at"),
    ),
    "webhook_attempts": omitted(
        Reason.bookkeeping,
        "requests to endpoints, for their owner",
        *("position", "endpoint_id", "message_id", "type", "number", "started_at", "milliseconds", "url"),
        *("status", "answer_type", "answer_size", "fault", "next_at"),
    ),
}
