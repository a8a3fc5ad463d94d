"""Routing's tables."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.messaging import MESSAGING, REPLICA
from admin.reconciliation.coverage.rules import Compared, Reason, Tables, omitted

ROUTING: Final[Tables] = {
    **MESSAGING,
    **REPLICA,
    "replica_changes": omitted(
        Reason.elsewhere,
        "`kopuro routing recompute` compares the versions that decisions name",
        *("change", "type", "key", "revision", "digest"),
    ),
    "referrals": {
        "id": Compared("referral.submitted", "referral_id"),
        "sender": Compared("referral.submitted", "sender"),
        "status": Compared("referral.completed", "data"),
        "acceptor": Compared("offer.accepted", "organization"),
        "outcome": Compared("referral.completed", "outcome"),
        "consent_revoked": Compared("referral.withdrawn", "reason"),
        **omitted(
            Reason.elsewhere,
            "`kopuro routing recompute` compares them with the decisions",
            "facts",
            "left_out",
        ),
        **omitted(Reason.bookkeeping, "whether the facts and the steps are reduced", "facts_state"),
        **omitted(Reason.bookkeeping, "tracing", "correlation_id", "traceparent"),
        **omitted(Reason.bookkeeping, "only one in the future is named", "updated_at"),
        "submitted_at": Compared("referral.submitted", "time"),
        **omitted(Reason.unstated, "the deadline of the acceptor's report", "due_at"),
        **omitted(Reason.uncompared, "the time of referral.overdue", "overdue_since"),
        **omitted(Reason.uncompared, "the time of referral.acceptor_suspended", "acceptor_suspended_since"),
        **omitted(
            Reason.derived, "the coordinators' queues and the figures", "priority", "turn_at", "need_group"
        ),
        **omitted(Reason.derived, "the coordinators' queues and the figures", "country"),
        **omitted(Reason.uncompared, "the referral before it (referral.submitted)", "onward_from"),
        **omitted(Reason.derived, "what precedes the referral it continues", "chain"),
        **omitted(Reason.uncompared, "the referral that was split (part.opened)", "part_of", "part", "parts"),
    },
    "offers": {
        "id": Compared("offer.opened", "offer_id"),
        "referral_id": Compared("offer.opened", "referral_id"),
        "organization": Compared("offer.opened", "organization"),
        "service": Compared("decisions.recorded", "decisions"),
        "rank": Compared("offer.opened", "rank"),
        "state": Compared("offer.declined", "data"),
        "opened_at": Compared("offer.opened", "opened_at"),
        "deadline": Compared("offer.opened", "deadline"),
        **omitted(Reason.uncompared, "time and reason of the fact that closed it", "closed_at", "reason"),
        **omitted(Reason.uncompared, "the first answer that came too late", "late_answer", "late_at"),
        **omitted(Reason.unstated, "the coordinator who placed the referral", "placed_by"),
        **omitted(Reason.unstated, "when a coordinator last reminded the organisation", "nudged_at"),
        **omitted(Reason.derived, "the next step by the policy, or the deadline", "acts_at"),
    },
    "decisions": {
        "id": Compared("decisions.recorded", "decisions"),
        "referral_id": Compared("decisions.recorded", "decisions"),
        "record": Compared("decisions.recorded", "decisions"),
        "salt": Compared("decisions.recorded", "decisions"),
        "asked": Compared("decisions.recorded", "decisions"),
        "erased_at": Compared("decisions.recorded", "decisions"),
        "commitment": Compared("decisions.recorded", "decisions"),
        "decided_at": Compared("decisions.recorded", "decisions"),
        **omitted(Reason.uncompared, "the message that commits to it: where a proof is found", "logged_in"),
        **omitted(Reason.elsewhere, "a reader verifies each proof with the log", "proofs"),
    },
    "timeline": {
        "referral_id": Compared("offer.declined", "referral_id"),
        "time": Compared("offer.declined", "time"),
        "fact": Compared("offer.declined", "data"),
        "organization": Compared("offer.declined", "organization"),
        "detail": Compared("offer.declined", "reason"),
        **omitted(Reason.bookkeeping, "the order of steps with one time", "number"),
    },
    "statements": {
        "month": Compared("statement.issued", "month"),
        "organization": Compared("statement.issued", "organization"),
        "content": Compared("statement.issued", "digest"),
        "logged_in": Compared("statement.issued", "id"),
        "issued_at": Compared("statement.issued", "time"),
    },
    "policies": omitted(
        Reason.uncompared,
        "routing_policy.applied; `kopuro routing recompute` names a decision by another policy",
        *("number", "version", "digest", "content", "applied_by", "applied_at"),
    ),
    "observations": omitted(
        Reason.derived,
        "counts of offers that rank candidates; the record of a decision has the counts that it used",
        *("organization", "answered", "expired", "answer_seconds", "last_asked", "returned"),
    ),
    "held": omitted(
        Reason.derived, "counts of accepted referrals: capacity", "organization", "service", "referrals"
    ),
    "demand": omitted(
        Reason.derived,
        "counts of offers and waiting referrals",
        *("organization", "service", "sender", "urgency", "offers", "waiting"),
    ),
    "waiting": omitted(
        Reason.derived,
        "which referrals are decided again when a place is free",
        *("referral_id", "organization", "service", "sender", "urgency", "since"),
    ),
    "seeking": omitted(
        Reason.derived,
        "which referrals are decided again when a record changes",
        *("referral_id", "need", "region", "country", "sender", "receiver"),
    ),
    "further_needs": omitted(
        Reason.derived,
        "which referrals are decided again when a record changes",
        *("referral_id", "need", "region", "country"),
    ),
    "full_services": omitted(
        Reason.derived, "the last decline for lack of capacity", "organization", "service", "since"
    ),
    "withdrawn_offers": omitted(
        Reason.derived,
        "counts of offers that ended with their referral, kept for the time that the policy sets",
        *("organization", "sender", "urgency", "counted_at", "offers"),
    ),
    "placement_keys": omitted(
        Reason.unstated,
        "a deleted row lets a placement be made twice",
        *("coordinator", "key", "content", "submission_id", "used_at"),
    ),
    "unanswered": omitted(Reason.bookkeeping, "what was reported", "referral_id", "reported_at"),
    "digests": omitted(Reason.bookkeeping, "which digests are written", "period", "written_at"),
    "issued_months": omitted(Reason.bookkeeping, "which months are issued", "month", "issued_at"),
    "weekly_reports": omitted(
        Reason.unstated, "figures of a week", "week", "made_at", "timeline_to", "report", "statements"
    ),
    "asked_in_week": omitted(
        Reason.derived, "the decisions that a statement names", "organization", "week", "decisions"
    ),
}
