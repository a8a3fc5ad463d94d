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
        **omitted(Reason.derived, "the record has them too: for searches", "kind", "country"),
    },
    "agreements": _standing("agreement.changed", "agreement"),
    "token_keys": _standing("token_key.changed", "key"),
    "clients": {
        "id": Compared("client.changed", "client_id"),
        "revision": Compared("client.changed", "revision"),
        "record": Compared("client.changed", "record_sha256"),
        **omitted(Reason.derived, "the record has it too: for searches", "principal"),
        # The order in which the log has their first revisions.
        "registered": Compared("client.changed", "time"),
    },
    "revisions": {
        "subject": Compared("organization.changed", "data"),
        "id": Compared("organization.changed", "organization"),
        "number": Compared("organization.changed", "revision"),
        "record": Compared("organization.changed", "organization"),
        **omitted(Reason.derived, "the number before", "previous"),
        # Of organisations and agreements: the facts about clients and keys of tokens have no author.
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
    "watch_reports": omitted(
        Reason.uncompared,
        "employer.reported and employer.report_retracted; the log has a commitment to the reporter",
        *("id", "reporter", "country", "allegation", "recipients", "salt", "reported_at", "retracted_at"),
        *("idempotency_key", "body_sha256"),
    ),
    "watch_recipients": omitted(Reason.uncompared, "watch_reports.chosen", "organization", "since"),
    "employer_replies": omitted(
        Reason.uncompared, "employer.replied", "watched_id", "country", "employer", "text", "by", "at"
    ),
    "applications": omitted(
        Reason.uncompared,
        "application.submitted has a commitment to the content, application.decided the steps",
        *("id", "state", "content", "salt", "reference_sha256", "submitted_at", "expires_at", "approval_id"),
        *("organization", "decided_by", "decided_at", "reason", "note"),
    ),
}
