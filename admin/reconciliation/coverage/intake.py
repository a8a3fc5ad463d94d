"""Intake's tables."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.messaging import MESSAGING, REPLICA
from admin.reconciliation.coverage.rules import Compared, Reason, Tables, omitted

INTAKE: Final[Tables] = {
    **MESSAGING,
    **REPLICA,
    "submissions": {
        "referral_id": Compared("referral.submitted", "referral_id"),
        "sender": Compared("referral.submitted", "sender"),
        **omitted(Reason.bookkeeping, "only one in the future is named", "submitted_at"),
    },
    "commands": omitted(
        Reason.uncompared,
        "what intake answers about a submission; routing decides by the event",
        *("id", "referral_id", "organization", "fact", "submitted_at"),
    ),
    "idempotency_keys": omitted(
        Reason.unstated,
        "a deleted row lets a request take effect twice; an added one refuses it",
        *("organization", "key", "fingerprint", "understood", "answer_id", "used_at"),
    ),
    "sealing_keys": omitted(
        Reason.derived, "the ids of keys in organization.changed, for an error", "organization", "kid"
    ),
    "transit_keys": {
        "kid": Compared("transit_key.published", "kid"),
        "x": Compared("transit_key.published", "x"),
        "published_at": Compared("transit_key.published", "published_at"),
    },
    "transit_counts": omitted(
        Reason.bookkeeping,
        "a wrong count keeps a transit key, or closes it early",
        *("kid", "process", "messages"),
    ),
    "cases_in_custody": {
        **omitted(Reason.uncompared, "an added or deleted row changes a sender's quota", "referral_id"),
        **omitted(Reason.uncompared, "a wrong sender uses another one's quota", "sender"),
        **omitted(Reason.unstated, "the size of the sealed case", "bytes"),
    },
    "custody_sums": omitted(Reason.derived, "sums of cases_in_custody", "sender", "bytes"),
    "notes_kept": {
        **omitted(Reason.uncompared, "an added or deleted row changes an author's quota", "referral_id"),
        **omitted(Reason.uncompared, "a wrong author uses another one's quota", "author"),
        **omitted(Reason.unstated, "the size of the sealed notes", "bytes"),
    },
    "offers": omitted(
        Reason.uncompared,
        "who may answer an offer; routing refuses an answer to an offer that it does not have",
        *("id", "referral_id", "organization"),
    ),
}
