"""The columns of the services' databases that a reconciliation reads, and no others.

When one of these changes, this file must change with it;
tests/services/test_reconcile.py fails until it does:

    intake    submissions(referral_id, submitted_at)
    routing   referrals(id, sender, status, acceptor, updated_at, consent_revoked),
              offers(referral_id, organization), decisions(id, referral_id, decided_at, record, salt)
    vault     custodies(referral_id, state, acceptor, changed_at, part_of), sealed_cases(referral_id)
    delivery  mailbox_messages(sequence, message_id, type, referral_id, queued_at)
    directory revisions(subject, id, number, changed_at),
              organizations, agreements, token_keys(id, revision, record)
    each      unreceipted(number, body, published_at)

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

SUBMISSIONS = table("submissions", column("referral_id"), column("submitted_at", Instant))
REFERRALS = table(
    "referrals",
    column("id"),
    column("sender"),
    column("status"),
    column("acceptor"),
    column("updated_at", Instant),
    column("consent_revoked"),
)
OFFERS = table("offers", column("referral_id"), column("organization"))
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
    column("state"),
    column("acceptor"),
    column("changed_at", Instant),
    column("part_of"),
)
CASES = table("sealed_cases", column("referral_id"))
MESSAGES = table(
    "mailbox_messages",
    column("sequence"),
    column("message_id"),
    column("type"),
    column("referral_id"),
    column("queued_at", Instant),
)

RECORDS = {
    subject: table(name, column("id"), column("revision"), column("record", Text))
    for subject, name in (
        ("organization", "organizations"),
        ("agreement", "agreements"),
        ("token_key", "token_keys"),
    )
}
REVISIONS = table(
    "revisions", column("subject"), column("id"), column("number"), column("changed_at", Instant)
)
