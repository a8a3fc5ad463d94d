"""The columns of the services' databases that a reconciliation reads, and no others.

When one of these changes, this file must change with it;
tests/services/test_reconcile.py fails until it does:

    intake    submissions(referral_id, sender, submitted_at), transit_keys(kid, x, published_at)
    routing   referrals(id, sender, status, acceptor, outcome, updated_at, consent_revoked, facts_state,
              submitted_at, part_of, parts),
              offers(id, referral_id, organization, service, rank, state, opened_at, deadline),
              decisions(id, referral_id, decided_at, record, salt),
              timeline(number, referral_id, time, fact, organization, detail)
    vault     custodies(referral_id, sender, state, acceptor, acceptance_id, changed_at, part_of, parts),
              sealed_cases(referral_id)
              evidence(referral_id, message_id, body, acted_at)
    delivery  mailbox_messages(sequence, organization, message_id, type, referral_id, queued_at, body,
              closed_at),
              case_letters(referral_id, organization, sealed_case),
              webhook_endpoints(id, organization, url, types, created_at, state, salt),
              webhook_secrets(number, endpoint_id, sealed, created_at, expires_at)
    directory revisions(subject, id, number, changed_by, changed_at, reason, record),
              organizations, agreements, token_keys, clients(id, revision, record),
              clients(principal, registered), proof_keys(client_id, secret_sha256),
              approvals(id, kind, subject, concerned, organization, change, digest, basis, requested_by,
              requested_at, expires_at, state, decided_by, decided_at, endorsed_by, endorsed_at),
              sealing_keys(organization, number, key, since, manner, by, approved_by),
              watch_reports(id, reporter, country, allegation, recipients, salt, reported_at, retracted_at),
              watch_recipients(organization, since), employer_replies(watched_id, country, employer, text, by,
              at), applications(id, state, content, salt, submitted_at, expires_at, approval_id, organization,
              decided_by, decided_at, reason)
    each      unreceipted(number, body, published_at)
    each but the directory
              replica(type, key, revision, data)
    audit     entries(leaf_index, leaf, head, message_id, type, time, referral_id)

Times are microseconds since 1970 (`runtime.storage.columns.Instant`).
"""

from __future__ import annotations

from sqlalchemy import column, table

from admin.reconciliation.stored_values import StoredBytes, StoredNumber, StoredText, StoredTime

SUBMISSIONS = table(
    "submissions",
    column("referral_id", StoredText),
    column("sender", StoredText),
    column("submitted_at", StoredTime),
)
TRANSIT_KEYS = table(
    "transit_keys",
    column("kid", StoredText),
    column("x", StoredText),
    column("published_at", StoredTime),
)
REFERRALS = table(
    "referrals",
    column("id", StoredText),
    column("sender", StoredText),
    column("status", StoredText),
    column("acceptor", StoredText),
    column("outcome", StoredText),
    column("updated_at", StoredTime),
    column("consent_revoked"),
    column("facts_state", StoredText),
    column("submitted_at", StoredTime),
    column("part_of", StoredText),
    column("parts", StoredNumber),
)
OFFERS = table(
    "offers",
    column("id", StoredText),
    column("referral_id", StoredText),
    column("organization", StoredText),
    column("service", StoredText),
    column("rank", StoredNumber),
    column("state", StoredText),
    column("opened_at", StoredTime),
    column("deadline", StoredTime),
)
TIMELINE = table(
    "timeline",
    column("number", StoredNumber),
    column("referral_id", StoredText),
    column("time", StoredTime),
    column("fact", StoredText),
    column("organization", StoredText),
    column("detail", StoredText),
)
DECISIONS = table(
    "decisions",
    column("id", StoredText),
    column("referral_id", StoredText),
    column("decided_at", StoredTime),
    column("record", StoredText),
    column("salt", StoredBytes),
    column("erased_at", StoredTime),
    column("commitment", StoredText),
    column("asked", StoredText),
)
STATEMENTS = table(
    "statements",
    column("month", StoredText),
    column("organization", StoredText),
    column("issued_at", StoredTime),
    column("content", StoredBytes),
    column("logged_in", StoredText),
)
CUSTODIES = table(
    "custodies",
    column("referral_id", StoredText),
    column("sender", StoredText),
    column("state", StoredText),
    column("acceptor", StoredText),
    column("acceptance_id", StoredText),
    column("changed_at", StoredTime),
    column("part_of", StoredText),
    column("parts", StoredNumber),
)
EVIDENCE = table(
    "evidence",
    column("referral_id", StoredText),
    column("message_id", StoredText),
    column("body", StoredBytes),
    column("acted_at", StoredTime),
)
CASES = table("sealed_cases", column("referral_id", StoredText))
MESSAGES = table(
    "mailbox_messages",
    column("sequence", StoredNumber),
    column("organization", StoredText),
    column("message_id", StoredText),
    column("type", StoredText),
    column("referral_id", StoredText),
    column("queued_at", StoredTime),
    column("body", StoredBytes),
    column("state", StoredText),
    column("acknowledged_at", StoredTime),
    column("offer_id", StoredText),
    column("content", StoredText),
    column("closed_at", StoredTime),
)
LETTERS = table(
    "case_letters",
    column("referral_id", StoredText),
    column("organization", StoredText),
    column("sealed_case", StoredText),
)
WEBHOOKS = table(
    "webhook_endpoints",
    column("id", StoredText),
    column("organization", StoredText),
    column("url", StoredText),
    column("types", StoredText),
    column("created_at", StoredTime),
    column("state", StoredText),
    column("salt", StoredBytes),
)
WEBHOOK_SECRETS = table(
    "webhook_secrets",
    column("number", StoredNumber),
    column("endpoint_id", StoredText),
    column("sealed", StoredBytes),
    column("created_at", StoredTime),
    column("expires_at", StoredTime),
)

RECORDS = {
    subject: table(
        name, column("id", StoredText), column("revision", StoredNumber), column("record", StoredText)
    )
    for subject, name in (
        ("organization", "organizations"),
        ("agreement", "agreements"),
        ("token_key", "token_keys"),
        ("client", "clients"),
    )
}
REVISIONS = table(
    "revisions",
    column("subject", StoredText),
    column("id", StoredText),
    column("number", StoredNumber),
    column("changed_by", StoredText),
    column("changed_at", StoredTime),
    column("reason", StoredText),
    column("record", StoredText),
)
REPLICA = table(
    "replica",
    column("type", StoredText),
    column("key", StoredText),
    column("revision", StoredNumber),
    column("data", StoredText),
)
APPROVALS = table(
    "approvals",
    column("id", StoredText),
    column("kind", StoredText),
    column("subject", StoredText),
    column("concerned", StoredText),
    column("organization", StoredText),
    column("change", StoredText),
    column("digest", StoredText),
    column("basis", StoredText),
    column("requested_by", StoredText),
    column("requested_at", StoredTime),
    column("expires_at", StoredTime),
    column("state", StoredText),
    column("decided_by", StoredText),
    column("decided_at", StoredTime),
    column("endorsed_by", StoredText),
    column("endorsed_at", StoredTime),
)
SEALING_KEYS = table(
    "sealing_keys",
    column("organization", StoredText),
    column("number", StoredNumber),
    column("key", StoredText),
    column("since", StoredTime),
    column("manner", StoredText),
    column("by", StoredText),
    column("approved_by", StoredText),
)
CLIENT_ORDER = table(
    "clients", column("id", StoredText), column("principal", StoredText), column("registered", StoredNumber)
)
ENTRIES = table(
    "entries",
    column("leaf_index", StoredNumber),
    column("leaf", StoredBytes),
    column("head", StoredBytes),
    column("message_id", StoredText),
    column("type", StoredText),
    column("time", StoredTime),
    column("referral_id", StoredText),
)
PROOF_KEYS = table("proof_keys", column("client_id", StoredText), column("secret_sha256", StoredText))
WATCH_REPORTS = table(
    "watch_reports",
    column("id", StoredText),
    column("reporter", StoredText),
    column("country", StoredText),
    column("allegation", StoredText),
    column("recipients", StoredText),
    column("salt", StoredText),
    column("reported_at", StoredTime),
    column("retracted_at", StoredTime),
)
WATCH_RECIPIENTS = table("watch_recipients", column("organization", StoredText), column("since", StoredTime))
EMPLOYER_REPLIES = table(
    "employer_replies",
    column("watched_id", StoredText),
    column("country", StoredText),
    column("employer", StoredText),
    column("text", StoredText),
    column("by", StoredText),
    column("at", StoredTime),
)
APPLICATIONS = table(
    "applications",
    column("id", StoredText),
    column("state", StoredText),
    column("content", StoredText),
    column("salt", StoredText),
    column("submitted_at", StoredTime),
    column("expires_at", StoredTime),
    column("approval_id", StoredText),
    column("organization", StoredText),
    column("decided_by", StoredText),
    column("decided_at", StoredTime),
    column("reason", StoredText),
)
