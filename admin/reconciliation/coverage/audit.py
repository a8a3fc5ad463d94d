"""The tables of the audit log. Each entry is compared with the commitments in its leaf."""

from __future__ import annotations

from typing import Final

from admin.reconciliation.coverage.messaging import MESSAGING, REPLICA
from admin.reconciliation.coverage.rules import Compared, Reason, Tables, omitted

_CHECKED: Final = "audit's own inspection compares it with the tree and the signed checkpoint"

AUDIT: Final[Tables] = {
    **MESSAGING,
    **REPLICA,
    "head": omitted(
        Reason.elsewhere,
        _CHECKED,
        *("number", "size", "frontier", "latest", "lateness", "checkpoint", "signed_at"),
    ),
    "entries": {
        "leaf_index": Compared("offer.accepted", "data"),
        "leaf": Compared("offer.accepted", "data"),
        "message_id": Compared("offer.accepted", "id"),
        "type": Compared("offer.accepted", "data"),
        "time": Compared("offer.accepted", "time"),
        "referral_id": Compared("offer.accepted", "referral_id"),
        "head": Compared("offer.accepted", "data"),
        **omitted(Reason.elsewhere, _CHECKED, "latest"),
    },
    "organizations": {
        "organization": Compared("offer.accepted", "organization"),
        "leaf_index": Compared("offer.accepted", "organization"),
    },
    "openings": {
        "leaf_index": Compared("offer.accepted", "data"),
        "salt": Compared("offer.accepted", "data"),
        "data": Compared("offer.accepted", "data"),
    },
    "facets": {
        "facet": Compared("offer.accepted", "data"),
        "value": Compared("offer.accepted", "data"),
        "leaf_index": Compared("offer.accepted", "data"),
    },
    "closures": {
        "referral_id": Compared("referral.withdrawn", "referral_id"),
        "revoked": Compared("referral.withdrawn", "reason"),
        **omitted(Reason.derived, "when content is erased; an early erasure has no entry", "closed_at"),
        **omitted(Reason.bookkeeping, "whether something is left to erase", "pending"),
    },
    "tag_secret": {
        "secret": Compared("offer.accepted", "referral_id"),
        **omitted(Reason.bookkeeping, "always 1", "number"),
    },
    "nodes": {
        "level": Compared("offer.accepted", "data"),
        "first": Compared("offer.accepted", "data"),
        "hashes": Compared("offer.accepted", "data"),
    },
    "publication": omitted(Reason.bookkeeping, "how far receipts have been sent", "number", "size"),
    "due_receipts": omitted(
        Reason.bookkeeping, "receipts that are due", "number", "size", "author", "digests"
    ),
    "witnesses": omitted(
        Reason.elsewhere,
        "a verifier checks the cosignatures",
        *("name", "size", "key_id", "signature", "time"),
    ),
    "checks": omitted(
        Reason.bookkeeping,
        "how far checks have read; used only up to what can be proved",
        *("name", "frontier", "latest", "lateness", "time"),
    ),
    "unfiled": omitted(
        Reason.bookkeeping, "entries of earlier builds without search keys", "number", "start", "stop"
    ),
}
