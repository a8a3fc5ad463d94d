"""The tables that every service has: its messages, and its replica of the directory."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.rules import Compared, Reason, Tables, omitted

MESSAGING: Final[Tables] = {
    "outbox": omitted(
        Reason.bookkeeping,
        "an event that is not published yet; once published, the log has it",
        *("number", "message_id", "exchange", "routing_key", "partition_key", "headers", "body"),
    ),
    "inbox": omitted(
        Reason.bookkeeping, "the messages that were processed", "consumer", "message_id", "received_at"
    ),
    "retries": omitted(
        Reason.bookkeeping,
        "a message that is processed again; its signature is verified again",
        *("consumer", "message_id", "queue", "routing_key", "body", "signed", "attempts", "first_seen"),
        *("due_at", "reason"),
    ),
    "manifests": omitted(
        Reason.unstated, "the lowest version of a hub's manifest that is accepted", "hub", "version"
    ),
    "unreceipted": {
        "body": Compared("history.read", "id"),
        **omitted(
            Reason.bookkeeping,
            "when the event is offered to the log again",
            *("number", "digest", "partition_key", "offers", "due_at"),
        ),
        **omitted(Reason.bookkeeping, "only one in the future is named", "published_at"),
    },
    "log_offers": omitted(Reason.bookkeeping, "counts for the metrics", "number", "events", "last_at"),
}

REPLICA: Final[Tables] = {
    "replica": {
        "type": Compared("organization.changed", "data"),
        "key": Compared("organization.changed", "organization"),
        "revision": Compared("organization.changed", "revision"),
        "data": Compared("organization.changed", "data"),
        **omitted(Reason.code, "the code covers the change number too", "change", "code"),
    }
}
