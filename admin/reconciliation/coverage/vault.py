"""The vault's tables."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.messaging import MESSAGING, REPLICA
from admin.reconciliation.coverage.rules import Compared, Reason, Tables, omitted

VAULT: Final[Tables] = {
    **MESSAGING,
    **REPLICA,
    "custodies": {
        "referral_id": Compared("case.released", "referral_id"),
        "state": Compared("case.released", "data"),
        "acceptor": Compared("case.released", "organization"),
        "acceptance_id": Compared("offer.accepted", "id"),
        "sender": Compared("referral.submitted", "sender"),
        **omitted(Reason.unstated, "whom the case was sealed to when it was submitted", "receiver", "kid"),
        **omitted(Reason.uncompared, "the offer of the acceptance", "offer_id"),
        **omitted(Reason.bookkeeping, "tracing", "correlation_id", "traceparent"),
        **omitted(
            Reason.bookkeeping, "the newest replacement; a forged id refuses the next one", "replaced_by"
        ),
        **omitted(Reason.bookkeeping, "only one in the future is named", "changed_at"),
        **omitted(Reason.uncompared, "the end of a pause (case.paused)", "paused_until"),
        "part_of": Compared("part.opened", "part_of"),
        "parts": Compared("referral.split", "parts"),
    },
    "evidence": {
        "referral_id": Compared("offer.accepted", "referral_id"),
        "message_id": Compared("offer.accepted", "id"),
        "body": Compared("offer.accepted", "data"),
        **omitted(Reason.derived, "the body has it too", "type"),
        **omitted(Reason.elsewhere, "`kopuro admin evidence` verifies the signature of the body", "signed"),
        **omitted(Reason.unstated, "when the vault acted on it", "acted_at"),
    },
    "sealed_cases": {
        "referral_id": Compared("case.erased", "referral_id"),
        **omitted(
            Reason.sealed,
            "a digest in the log would outlive the case; a case that was altered cannot be opened",
            *("wrapped_key", "ciphertext", "key_id"),
        ),
    },
    "doomed_keys": omitted(Reason.bookkeeping, "a deleted row leaves a case key undestroyed", "key_id"),
    "transit_keys": omitted(
        Reason.uncompared,
        "transit_key.published and transit_key.closed: when a transit key is destroyed",
        *("kid", "published_at", "opened", "sealed", "closed_at"),
    ),
    "held_notes": omitted(
        Reason.sealed, "notes that wait for routing's decision", "submission_id", "referral_id", "body"
    ),
    "answers": omitted(
        Reason.derived,
        "whether an answer took effect: routing's decision about it",
        *("submission_id", "referral_id", "took_effect"),
    ),
}
