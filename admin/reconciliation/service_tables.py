"""The columns of the services' databases that a reconciliation reads, and no others.

When one of these changes, this file must change with it;
tests/services/test_reconcile.py fails until it does:

    intake    submissions(referral_id, sender, submitted_at)
    routing   referrals(id, sender, status, acceptor, outcome, updated_at, consent_revoked, facts_state,
              submitted_at, part_of, parts),
              offers(id, referral_id, organization, service, rank, state, opened_at, deadline),
              decisions(id, referral_id, decided_at, record, salt),
              timeline(number, referral_id, time, fact, organization, detail)
    vault     custodies(referral_id, sender, state, acceptor, acceptance_id, changed_at, part_of),
              sealed_cases(referral_id)
              evidence(referral_id, message_id, body, acted_at)
    delivery  mailbox_messages(sequence, organization, message_id, type, referral_id, queued_at, body,
              closed_at),
              case_letters(referral_id, organization, sealed_case)
    directory revisions(subject, id, number, changed_by, changed_at, reason, record),
              organizations, agreements, token_keys, clients(id, revision, record),
              clients(principal, registered), proof_keys(client_id, secret_sha256),
              approvals(id, kind, subject, concerned, organization, change, digest, basis, requested_by,
              requested_at, expires_at, state, decided_by, decided_at, endorsed_by, endorsed_at),
              sealing_keys(organization, number, key, since, manner, by, approved_by)
    each      unreceipted(number, body, published_at)
    each but the directory
              replica(type, key, revision, data)

Times are microseconds since 1970 (`runtime.storage.columns.Instant`).
"""

from __future__ import annotations

from sqlalchemy import (
    LargeBinary,
    Text,
    column,
    table,
)

from runtime.storage.columns import Instant

SUBMISSIONS = table("submissions", column("referral_id"), column("sender"), column("submitted_at", Instant))
REFERRALS = table(
    "referrals",
    column("id"),
    column("sender"),
    column("status"),
    column("acceptor"),
    column("outcome"),
    column("updated_at", Instant),
    column("consent_revoked"),
    column("facts_state"),
    column("submitted_at", Instant),
    column("part_of"),
    column("parts"),
)
OFFERS = table(
    "offers",
    column("id"),
    column("referral_id"),
    column("organization"),
    column("service"),
    column("rank"),
    column("state"),
    column("opened_at", Instant),
    column("deadline", Instant),
)
TIMELINE = table(
    "timeline",
    column("number"),
    column("referral_id"),
    column("time", Instant),
    column("fact"),
    column("organization"),
    column("detail", Text),
)
DECISIONS = table(
    "decisions",
    column("id"),
    column("referral_id"),
    column("decided_at", Instant),
    column("record", Text),
    column("salt", LargeBinary),
    column("erased_at", Instant),
    column("commitment"),
    column("asked", Text),
)
STATEMENTS = table(
    "statements",
    column("month"),
    column("organization"),
    column("issued_at", Instant),
    column("content", LargeBinary),
    column("logged_in"),
)
CUSTODIES = table(
    "custodies",
    column("referral_id"),
    column("sender"),
    column("state"),
    column("acceptor"),
    column("acceptance_id"),
    column("changed_at", Instant),
    column("part_of"),
)
EVIDENCE = table(
    "evidence",
    column("referral_id"),
    column("message_id"),
    column("body", LargeBinary),
    column("acted_at", Instant),
)
CASES = table("sealed_cases", column("referral_id"))
MESSAGES = table(
    "mailbox_messages",
    column("sequence"),
    column("organization"),
    column("message_id"),
    column("type"),
    column("referral_id"),
    column("queued_at", Instant),
    column("body", LargeBinary),
    column("closed_at", Instant),
)
LETTERS = table("case_letters", column("referral_id"), column("organization"), column("sealed_case", Text))

RECORDS = {
    subject: table(name, column("id"), column("revision"), column("record", Text))
    for subject, name in (
        ("organization", "organizations"),
        ("agreement", "agreements"),
        ("token_key", "token_keys"),
        ("client", "clients"),
    )
}
REVISIONS = table(
    "revisions",
    column("subject"),
    column("id"),
    column("number"),
    column("changed_by"),
    column("changed_at", Instant),
    column("reason"),
    column("record", Text),
)
REPLICA = table("replica", column("type"), column("key"), column("revision"), column("data", Text))
APPROVALS = table(
    "approvals",
    column("id"),
    column("kind"),
    column("subject"),
    column("concerned"),
    column("organization"),
    column("change", Text),
    column("digest"),
    column("basis"),
    column("requested_by"),
    column("requested_at", Instant),
    column("expires_at", Instant),
    column("state"),
    column("decided_by"),
    column("decided_at", Instant),
    column("endorsed_by"),
    column("endorsed_at", Instant),
)
SEALING_KEYS = table(
    "sealing_keys",
    column("organization"),
    column("number"),
    column("key", Text),
    column("since", Instant),
    column("manner"),
    column("by"),
    column("approved_by"),
)
CLIENT_ORDER = table("clients", column("id"), column("principal"), column("registered"))
PROOF_KEYS = table("proof_keys", column("client_id"), column("secret_sha256"))
