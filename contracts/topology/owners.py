"""The services that own each fact."""

from __future__ import annotations

from collections.abc import Mapping

# The name of the operators' commands among the services: they replay dead letters and record reads of them.
OPERATIONS = "operations"
# The services, as owners of facts and as users of the broker.
SERVICES = ("intake", "routing", "delivery", "directory", "vault", "audit")
# The owners of each fact: only they publish it, and no consumer accepts it from another service.
OWNERS: Mapping[str, frozenset[str]] = {
    key: frozenset(services)
    for services, keys in (
        (
            ("intake",),
            (
                "referral.submitted",
                "answer.submitted",
                "progress.submitted",
                "outcome.submitted",
                "hand_back.submitted",
                "withdrawal.submitted",
                "revocation.submitted",
                "note.submitted",
                "unreadable.submitted",
                "replacement.submitted",
                "sealed_case.submitted",
                "sealed_case.replaced",
                "sealed_note.submitted",
                "transit_key.closed",
            ),
        ),
        (
            ("routing",),
            (
                "placement.submitted",
                "placement.refused",
                "placement.answered",
                "intervention.submitted",
                "intervention.refused",
                "intervention.applied",
                "coordinator_withdrawal.submitted",
                "coordinator_withdrawal.refused",
                "offer.opened",
                "offer.reminded",
                "offer.accepted",
                "offer.declined",
                "offer.expired",
                "offer.revoked",
                "acceptance.revoked",
                "referral.handed_back",
                "hand_back.refused",
                "directory_correction.suggested",
                "answer.refused",
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
                "referral.acceptor_suspended",
                "referral.acceptor_declined_part",
                "case.unreadable",
                "note.unreadable",
                "decisions.recorded",
                "statement.issued",
                "routing_policy.applied",
            ),
        ),
        # Routing refuses submissions that its rules do not allow; the vault refuses sealed replacements.
        (("routing", "vault"), ("submission.refused",)),
        (
            ("vault",),
            (
                "case.released",
                "case.refused",
                "case.erased",
                "case.paused",
                "case.requested",
                "sealed_case.released",
                "sealed_note.released",
                "transit_key.published",
                "transit_key.destroyed",
            ),
        ),
        (
            ("delivery",),
            (
                "delivery.delivered",
                "delivery.acknowledged",
                "note.delivered",
                "employer_report.delivered",
                "message.closed",
                "alerts.counted",
                "submission.admitted",
                "case.fetched",
                "webhook.changed",
                "webhook.failing",
            ),
        ),
        # Each service that shows staff the facts of a person, or the name of one who applies.
        (("intake", "routing", "delivery", "directory"), ("referral.read",)),
        ((OPERATIONS,), ("dead_letter.read",)),
        (
            ("directory",),
            (
                "organization.changed",
                "agreement.changed",
                "token_key.changed",
                "client.changed",
                "credential.issued",
                "credential.revoked",
                "credential.tokens_revoked",
                "credential.expiring",
                "access.refused",
                "role.granted",
                "sealing_key.replaced",
                "service_approval.ended",
                "approval.requested",
                "approval.endorsed",
                "approval.granted",
                "approval.refused",
                "replica.completed",
                "employer.reported",
                "employer.report_retracted",
                "employer.replied",
                "watch_reports.chosen",
                "sealed_report.submitted",
                "application.submitted",
                "application.decided",
            ),
        ),
        # Every service with a replica asks the directory for a snapshot.
        (("intake", "routing", "delivery", "vault", "audit"), ("replica.requested",)),
        (
            ("audit",),
            (
                "history.read",
                "history.exported",
                "log.exported",
                "receipts.issued",
                "receipt.issued",
                "events.logged",
                "content.erased",
            ),
        ),
    )
    for key in keys
}


def owners_of(routing_key: str) -> frozenset[str]:
    """Return the services that may publish facts with this routing key; empty for an unknown key."""
    return OWNERS.get(routing_key, frozenset())
