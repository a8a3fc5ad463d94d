"""Rows of the services' databases and entries of the log, in comparable form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson

from admin.reconciliation.decision_differences import DecisionRow
from admin.reconciliation.directory_differences import RecordRevision
from admin.reconciliation.referral_records import LoggedFact, StoredEvidence, StoredOffer, StoredStep
from admin.reconciliation.stored_values import DAMAGED, json_object
from contracts.canonical import NotCanonical, content_digest
from contracts.commitment import SALT_BYTES, commitment_to
from contracts.envelope import Envelope
from contracts.facts import CATALOGUE
from contracts.records import Malformed, dump, read
from services.audit.log.domain.leaf import fields_of
from services.audit.log.ports import OpenedLeaf
from services.routing.domain.candidate_tree import candidates_root
from services.routing.domain.timeline import entry_of

# The kinds of directory records that are published, with the path of the id in the event's data.
PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "organization": ("organization", "id"),
    "agreement": ("agreement", "id"),
    "token_key": ("key", "kid"),
    "client": ("client_id",),
}


def logged_fact(row: Any) -> LoggedFact:
    """Return the entry of a row, without its content. Raises ValueError for a head that is not the leaf's."""
    said = fields_of(row.leaf, row.head)
    return LoggedFact(
        index=row.leaf_index,
        fact=fact_of(row.type),
        message_id=row.message_id,
        organization=said["organization"],
        time=row.time,
        actor=said["actor"],
    )


def with_content(entry: LoggedFact, opened: OpenedLeaf | None) -> LoggedFact:
    """Return the entry with its content, or without it if the content is erased or not a known fact."""
    if opened is None or opened.data is None:
        return entry
    kind = CATALOGUE.get(opened.fields["type"])
    try:
        fact = None if kind is None else read(kind, opened.data)
    except Malformed:
        fact = None
    if fact is None:
        return entry
    # Serialised and parsed again: routing's timeline stores the detail as JSON, and only equal forms compare.
    detail = orjson.loads(dump(entry_of(fact, "", entry.time).detail))
    return replace(entry, data=opened.data, detail=detail)


def stored_evidence(body: bytes) -> StoredEvidence:
    """Return what a message says that the vault keeps as evidence."""
    try:
        message = Envelope.decode(body)
    except Malformed:
        return StoredEvidence()
    return StoredEvidence(
        message_id=message.id,
        fact=fact_of(message.type),
        actor=message.source,
        time=message.time,
        data=message.data,
    )


def stored_step(row: Any) -> StoredStep:
    """Return the step of a row."""
    return StoredStep(
        fact=row.fact, time=row.time, organization=row.organization, detail=json_object(row.detail)
    )


def stored_offer(row: Any) -> StoredOffer:
    """Return the offer of a row."""
    return StoredOffer(
        id=row.id,
        organization=row.organization,
        service=row.service,
        rank=row.rank,
        state=row.state,
        opened_at=row.opened_at,
        deadline=row.deadline,
    )


def ranked_services(rows: Iterable[Any]) -> dict[tuple[dt.datetime, str], set[str]]:
    """Return the services that decisions ranked, by the time of the decision and the organisation.

    rows: of decisions; those that are erased or damaged give none.
    """
    found: dict[tuple[dt.datetime, str], set[str]] = {}
    for row in rows:
        try:
            ranked = [one for one in orjson.loads(row.record)["candidates"] if one["rank"] is not None]
            for one in ranked:
                found.setdefault((row.decided_at, one["organization"]), set()).add(str(one["service"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found


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
        recorded_at=_recorded_at(row) if committed else None,
        is_erased=kept is not None,
        is_erased_early=early,
    )


def _recorded_at(row: Any) -> dt.datetime | None:
    """Return when a decision's record says that it was made; None for a record that does not say it."""
    try:
        return dt.datetime.fromisoformat(orjson.loads(row.record)["decided_at"])
    except (ValueError, KeyError, TypeError):
        return None


def _candidates(row: Any) -> str | None:
    """Return the root over a decision's candidates; None for a damaged record, which differs anyway."""
    try:
        organizations = [one["organization"] for one in orjson.loads(row.record)["candidates"]]
        return candidates_root(row.referral_id, organizations, orjson.loads(row.asked), bytes(row.salt))
    except (ValueError, KeyError, TypeError, AttributeError, NotCanonical):
        return None


def record_digest(record: Any) -> str:
    """Return the SHA-256 of a directory record's JSON with sorted members, in hexadecimal.

    DAMAGED for one with more levels than JSON encoders take.
    """
    try:
        return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except orjson.JSONEncodeError:
        return DAMAGED


def compared_record(subject: str, record: Any) -> Any:
    """Return what is compared of a stored directory record."""
    match subject:
        case "token_key":
            return {"key": record["key"], "withdrawn": record.get("withdrawn", False)}
        case "client":
            return content_digest(record)
    return record


def logged_record(subject: str, data: Mapping[str, Any]) -> Any:
    """Return what is compared of the data of a `<subject>.changed` fact; None if it says nothing of it."""
    match subject:
        case "client":
            return data.get("record_sha256")
        case "token_key":
            return {"key": data["key"], "withdrawn": data.get("withdrawn", False)}
    return data[PUBLISHED[subject][0]]


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
