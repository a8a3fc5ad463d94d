"""The queues of the consumers and the routing keys that each receives."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.topology.owners import SERVICES

ROUTING_KEYS = (
    "referral.submitted",
    "answer.submitted",
    "progress.submitted",
    "outcome.submitted",
    "hand_back.submitted",
    "withdrawal.submitted",
    "revocation.submitted",
    "unreadable.submitted",
    "replacement.submitted",
    "placement.submitted",
    "intervention.submitted",
    "coordinator_withdrawal.submitted",
    "case.refused",
    "case.paused",
    "case.requested",
)
# The records by which a service admits callers: `runtime/access/access_records.py`.
ACCESS_KEYS = ("organization.changed", "token_key.changed", "client.changed")
DELIVERY_KEYS = (
    "offer.*",
    "referral.unplaced",
    "referral.progressed",
    "referral.completed",
    "referral.withdrawn",
    "referral.failed",
    "referral.referred_onward",
    "referral.split",
    "referral.rejoined",
    "part.opened",
    "referral.overdue",
    "referral.unanswered",
    "alert.closed",
    "coordination.digest",
    "statement.issued",
    "referral.acceptor_suspended",
    "referral.acceptor_declined_part",
    "acceptance.revoked",
    "referral.handed_back",
    "hand_back.refused",
    "directory_correction.suggested",
    "answer.refused",
    "submission.refused",
    "case.refused",
    "case.paused",
    "case.requested",
    "placement.refused",
    "placement.answered",
    "intervention.refused",
    "intervention.applied",
    "coordinator_withdrawal.refused",
    "case.unreadable",
    "note.unreadable",
    # notices to the partner concerned
    "credential.*",
    "approval.*",
    "sealing_key.replaced",
    "service_approval.ended",
    "webhook.*",
    # for the coordinators, with the fact that closes the message
    "application.submitted",
    "application.decided",
    # for the organisations that received a watch report
    "employer.report_retracted",
    "employer.replied",
    # closes the watch reports of an organisation that opted out
    "watch_reports.chosen",
)
VAULT_KEYS = (
    "offer.accepted",
    "offer.declined",
    "answer.refused",
    "acceptance.revoked",
    "referral.handed_back",
    "hand_back.refused",
    "referral.split",
    "referral.rejoined",
    "referral.completed",
    "referral.withdrawn",
    "referral.failed",
    "transit_key.closed",
)
LOG_QUEUE = "audit.log"
# The queues in which services receive audit's receipts for the events that they published.
RECEIPT_QUEUES: Mapping[str, str] = {service: f"{service}.receipts" for service in SERVICES}
# The routing keys that each queue receives from `kopuro.events`.
EVENT_QUEUES: Mapping[str, tuple[str, ...]] = {
    # The ends of referrals free the room of their cases (`services/intake/domain/custody_bound.py`).
    "intake.offers": ("offer.opened", "referral.completed", "referral.withdrawn", "referral.failed"),
    "intake.transit_keys": ("transit_key.published",),
    "delivery.events": DELIVERY_KEYS,
    "vault.events": VAULT_KEYS,
    LOG_QUEUE: ("#",),
    "directory.requests": ("replica.requested",),
    "intake.directory": ACCESS_KEYS,
    "routing.directory": (*ACCESS_KEYS, "agreement.changed"),
    "delivery.directory": ACCESS_KEYS,
    "vault.directory": ("organization.changed",),
    "audit.directory": ACCESS_KEYS,
}
CASE_QUEUES: Mapping[str, tuple[str, ...]] = {
    "vault.sealed": ("sealed_case.submitted", "sealed_case.replaced", "sealed_note.submitted"),
    "delivery.sealed": ("sealed_case.released", "sealed_note.released", "sealed_report.submitted"),
}
ROUTING_QUERIES = "routing.queries"
QUERY_DEADLINE_MS = 3_000
# The services that ask others over the broker.
REQUESTERS = ("intake",)
REPLICA_QUEUES = tuple(queue for queue in EVENT_QUEUES if queue.endswith(".directory"))
MAILBOXES = "delivery.events"


def reply_queue_prefix(service: str) -> str:
    """Return the start of the names of the service's private reply queues."""
    return f"{service}.replies."
