"""The directory's tables."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.messaging import MESSAGING
from admin.reconciliation.coverage.rules import Columns, Compared, Reason, Tables, omitted


def _standing(fact: str, record: str) -> Columns:
    return {
        "id": Compared(fact, record),
        "revision": Compared(fact, "revision"),
        "record": Compared(fact, record),
    }


DIRECTORY: Final[Tables] = {
    **MESSAGING,
    "organizations": {
        **_standing("organization.changed", "organization"),
        **omitted(Reason.derived, "also in the record; a copy for searches", "kind", "country"),
    },
    "agreements": _standing("agreement.changed", "agreement"),
    "token_keys": _standing("token_key.changed", "key"),
    "clients": {
        "id": Compared("client.changed", "client_id"),
        "revision": Compared("client.changed", "revision"),
        "record": Compared("client.changed", "record_sha256"),
        **omitted(Reason.derived, "also in the record; a copy for searches", "principal"),
        # The order in which the log has their first revisions.
        "registered": Compared("client.changed", "time"),
    },
    "revisions": {
        "subject": Compared("organization.changed", "data"),
        "id": Compared("organization.changed", "organization"),
        "number": Compared("organization.changed", "revision"),
        "record": Compared("organization.changed", "organization"),
        **omitted(Reason.derived, "the number of the revision before", "previous"),
        # Only organisations and agreements have an author: the facts about clients and keys of tokens have
        # none.
        "changed_by": Compared("organization.changed", "by"),
        "changed_at": Compared("organization.changed", "time"),
        "reason": Compared("organization.changed", "reason"),
    },
    "services": omitted(
        Reason.derived, "the search index of organisations' records", "organization", "service", "record"
    ),
    "service_needs": omitted(
        Reason.derived, "the search index of organisations' records", "organization", "service", "need"
    ),
    "service_areas": omitted(
        Reason.derived, "the search index of organisations' records", "organization", "service", "area"
    ),
    "approvals": {
        "id": Compared("approval.requested", "id"),
        "kind": Compared("approval.requested", "kind"),
        "subject": Compared("approval.requested", "subject"),
        "digest": Compared("approval.requested", "digest"),
        "requested_by": Compared("approval.requested", "requested_by"),
        "state": Compared("approval.granted", "data"),
        "decided_by": Compared("approval.granted", "by"),
        "endorsed_by": Compared("approval.endorsed", "by"),
        "change": Compared("approval.requested", "digest"),
        "basis": Compared("approval.requested", "digest"),
        "concerned": Compared("approval.requested", "digest"),
        "organization": Compared("approval.requested", "organization"),
        "requested_at": Compared("approval.requested", "time"),
        "expires_at": Compared("approval.requested", "expires_at"),
        "decided_at": Compared("approval.granted", "time"),
        "endorsed_at": Compared("approval.endorsed", "time"),
        **omitted(Reason.unstated, "the client that made the request", "client"),
    },
    "sealing_keys": {
        "organization": Compared("sealing_key.replaced", "organization"),
        "key": Compared("sealing_key.replaced", "kid"),
        **omitted(Reason.bookkeeping, "the revision that published the key", "number"),
        "manner": Compared("sealing_key.replaced", "manner"),
        "by": Compared("sealing_key.replaced", "by"),
        "approved_by": Compared("sealing_key.replaced", "approved_by"),
        "since": Compared("sealing_key.replaced", "time"),
        **omitted(Reason.derived, "the time from which the next key is used", "until"),
    },
    "key_challenges": omitted(
        Reason.sealed,
        "open for ten minutes; an answer needs the present key's private half",
        *("organization", "kid", "id", "key", "previous", "answer_sha256", "expires_at"),
    ),
    "proof_keys": {
        # The digests of secrets in the records of the client.
        "client_id": Compared("client.changed", "record_sha256"),
        "secret_sha256": Compared("client.changed", "record_sha256"),
        **omitted(Reason.unstated, "derived from a secret that the directory does not have", "key"),
    },
    "used_proofs": omitted(
        Reason.bookkeeping,
        "a deleted row lets a proof be used again until it expires",
        *("client_id", "proof_id", "until"),
    ),
    "expiry_notices": omitted(
        Reason.bookkeeping, "what was announced", "client_id", "credential", "expires_at", "days"
    ),
    "watch_reports": {
        "id": Compared("employer.reported", "report_id"),
        "country": Compared("employer.reported", "allegation"),
        "allegation": Compared("employer.reported", "allegation"),
        "recipients": Compared("employer.reported", "recipients"),
        # They open the commitment to the reporter.
        "reporter": Compared("employer.reported", "reporter"),
        "salt": Compared("employer.reported", "reporter"),
        "reported_at": Compared("employer.reported", "time"),
        "retracted_at": Compared("employer.report_retracted", "time"),
        **omitted(Reason.unstated, "recognise repetitions of the request", "idempotency_key", "body_sha256"),
    },
    "watch_recipients": {
        "organization": Compared("watch_reports.chosen", "organization"),
        "since": Compared("watch_reports.chosen", "time"),
    },
    "employer_replies": {
        "watched_id": Compared("employer.replied", "watched_id"),
        "country": Compared("employer.replied", "employer"),
        "employer": Compared("employer.replied", "employer"),
        "text": Compared("employer.replied", "text"),
        "by": Compared("employer.replied", "by"),
        "at": Compared("employer.replied", "time"),
    },
    "applications": {
        "id": Compared("application.submitted", "application_id"),
        # They open the commitment to what the applicant sent.
        "content": Compared("application.submitted", "content"),
        "salt": Compared("application.submitted", "content"),
        "submitted_at": Compared("application.submitted", "time"),
        # Compared while it is open: no fact says how long the traces of an ended application are kept.
        "expires_at": Compared("application.submitted", "expires_at"),
        "state": Compared("application.decided", "step"),
        "approval_id": Compared("application.decided", "approval_id"),
        "organization": Compared("application.decided", "organization"),
        "decided_by": Compared("application.decided", "by"),
        "decided_at": Compared("application.decided", "time"),
        "reason": Compared("application.decided", "reason"),
        **omitted(Reason.sealed, "the digest of the applicant's reference", "reference_sha256"),
        **omitted(Reason.unstated, "a note that only the applicant reads", "note"),
    },
}
