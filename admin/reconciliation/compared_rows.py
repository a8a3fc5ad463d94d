"""Rows of the services' databases and entries of the log, in the form in which they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from admin.reconciliation.decision_differences import DecisionRow
from admin.reconciliation.differences import (
    LoggedFact,
    RecordRevision,
)
from contracts.canonical import content_digest
from contracts.commitment import SALT_BYTES, commitment_to
from services.audit.log.domain.leaf import fields_of
from services.routing.domain.candidate_tree import candidates_root

# The kinds of directory records that are published, with the path of the id in the event's data.
PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "organization": ("organization", "id"),
    "agreement": ("agreement", "id"),
    "token_key": ("key", "kid"),
    "client": ("client_id",),
}


def logged_fact(row: Any) -> LoggedFact:
    """Return the entry of a row. Raises ValueError for a head that is not the leaf's."""
    return LoggedFact(
        index=row.leaf_index,
        fact=fact_of(row.type),
        message_id=row.message_id,
        organization=fields_of(row.leaf, row.head)["organization"],
        time=row.time,
    )


def stored_decision(row: Any, *, early: bool) -> DecisionRow:
    """Return the decision of a row. early: its record is erased although its referral has not ended."""
    salt = row.salt
    committed = salt is not None and len(salt) == SALT_BYTES
    # A record that is marked erased without an entry in the log was rewritten.
    kept = row.commitment if row.erased_at is not None and row.record == "{}" else None
    return DecisionRow(
        id=row.id,
        referral_id=row.referral_id,
        decided_at=row.decided_at,
        commitment=commitment_to(row.record.encode(), bytes(salt)) if committed else kept,
        candidates=_candidates(row) if committed and row.asked is not None else None,
        is_erased=kept is not None,
        is_erased_early=early,
    )


def _candidates(row: Any) -> str | None:
    """Return the root over a decision's candidates; None for a damaged record, which differs anyway."""
    try:
        organizations = [one["organization"] for one in orjson.loads(row.record)["candidates"]]
        return candidates_root(row.referral_id, organizations, orjson.loads(row.asked), bytes(row.salt))
    except (ValueError, KeyError, TypeError):
        return None


def record_digest(record: Any) -> str:
    """Return the SHA-256 of a directory record's JSON with sorted members, in hexadecimal."""
    return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def compared_record(subject: str, record: Any) -> Any:
    """Return what is compared of a stored directory record."""
    match subject:
        case "token_key":
            return record["key"]
        case "client":
            return content_digest(record)
    return record


def logged_record(subject: str, data: Mapping[str, Any]) -> Any:
    """Return what is compared of the data of a `<subject>.changed` fact; None if it says nothing of it."""
    return data.get("record_sha256") if subject == "client" else data[PUBLISHED[subject][0]]


def revision_of(type: str, data: Mapping[str, Any]) -> RecordRevision:
    """Return which revision of which record a fact of this type is about."""
    subject = type.split(".")[1]
    found: Any = data
    for step in PUBLISHED[subject]:
        found = found[step]
    return RecordRevision(subject=subject, id=found, number=data["revision"])


def fact_of(type: str) -> str:
    """Return `offer.opened` for `kopuro.offer.opened.v1`."""
    return ".".join(type.split(".")[1:-1])
