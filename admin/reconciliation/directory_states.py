"""Read-only queries of the directory's database, and of the entries of the log about it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Engine, select

from admin.reconciliation.compared_rows import (
    PUBLISHED,
    compared_record,
    logged_record,
    record_digest,
    revision_of,
)
from admin.reconciliation.directory_differences import Author, LoggedRevision, RecordRevision
from admin.reconciliation.directory_rows import (
    LoggedDecisionStep,
    LoggedKey,
    RegisteredClient,
    StoredApproval,
    StoredKey,
)
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.service_tables import (
    APPROVALS,
    CLIENT_ORDER,
    PROOF_KEYS,
    RECORDS,
    REVISIONS,
    SEALING_KEYS,
)
from admin.reconciliation.stored_values import DAMAGED, json_object
from contracts.canonical import NotCanonical
from contracts.codes import ApprovalKind
from contracts.facts import (
    ApplicationDecided,
    ApprovalEndorsed,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    CredentialIssued,
    CredentialRevoked,
    RoleGranted,
    SealingKeyReplaced,
)
from contracts.records import Malformed
from services.directory.domain.approval import REFUSALS
from services.directory.domain.change import digest, restored

_APPROVAL_STEPS: Final = (ApprovalRequested, ApprovalEndorsed, ApprovalGranted, ApprovalRefused)
# Facts that came with the history of sealing keys, or later.
_NOTICES: Final = tuple(
    fact.type
    for fact in (*_APPROVAL_STEPS, SealingKeyReplaced, CredentialIssued, CredentialRevoked, RoleGranted)
)


class DirectoryStates:
    """The directory's records, approvals and sealing keys beside the log."""

    def __init__(self, directory: Engine, entries: OpenedEntries) -> None:
        self._engine = directory
        self._entries = entries

    def revisions(self) -> tuple[dict[RecordRevision, dt.datetime], dict[RecordRevision, str]]:
        """Return every published revision of the directory with its time, and with its record's digest."""
        wanted = select(REVISIONS).where(REVISIONS.c.subject.in_(PUBLISHED))
        made: dict[RecordRevision, dt.datetime] = {}
        contents: dict[RecordRevision, str] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(wanted):
                revision = RecordRevision(subject=row.subject, id=row.id, number=row.number)
                made[revision] = row.changed_at
                contents[revision] = _digest(row.subject, row.record)
        return made, contents

    def authors(self) -> dict[RecordRevision, Author]:
        """Return who made each published revision, and why it suspends the organisation."""
        wanted = select(REVISIONS).where(REVISIONS.c.subject.in_(PUBLISHED))
        with self._engine.connect() as connection:
            return {
                RecordRevision(subject=row.subject, id=row.id, number=row.number): (
                    row.changed_by,
                    row.reason,
                )
                for row in connection.execute(wanted)
            }

    def records(self) -> dict[RecordRevision, str]:
        """Return the digest of each published record in force, under the revision that it says it is."""
        with self._engine.connect() as connection:
            return {
                RecordRevision(subject=subject, id=row.id, number=row.revision): _digest(subject, row.record)
                for subject, records in RECORDS.items()
                for row in connection.execute(select(records))
            }

    def logged_revisions(self, limit: int) -> dict[RecordRevision, LoggedRevision]:
        """Return every revision of the directory in the log. limit: entries per query."""
        found: dict[RecordRevision, LoggedRevision] = {}
        for leaf, data in self._entries.said(
            [f"kopuro.{subject}.changed.v1" for subject in PUBLISHED], limit
        ):
            revision = revision_of(leaf["type"], data)
            record = logged_record(revision.subject, data)
            entry = LoggedRevision(
                index=leaf["index"],
                time=dt.datetime.fromisoformat(leaf["time"]),
                # None: an earlier build logged no digest of a client's record.
                content=None if record is None else record_digest(record),
                author=(data["by"], data.get("reason")) if data.get("by") is not None else None,
            )
            found.setdefault(revision, entry)
        return found

    def approvals(self) -> list[StoredApproval]:
        """Return all requests for approval."""
        with self._engine.connect() as connection:
            return [
                StoredApproval(
                    id=row.id,
                    request=(row.kind, row.subject, row.requested_by, row.organization),
                    digest=row.digest,
                    change_digest=_change_digest(row),
                    concerned=row.concerned,
                    change_concerns=_change_concerns(row),
                    may_be_erased=_may_be_erased(row),
                    requested_at=row.requested_at,
                    expires_at=row.expires_at,
                    state=row.state,
                    decided_by=row.decided_by,
                    decided_at=row.decided_at,
                    endorsed_by=row.endorsed_by,
                    endorsed_at=row.endorsed_at,
                )
                for row in connection.execute(select(APPROVALS))
            ]

    def logged_approvals(self, limit: int) -> Iterator[LoggedDecisionStep]:
        """Yield what the log says of requests for approval, in its order. limit: entries per query."""
        for leaf, data in self._entries.said([fact.type for fact in _APPROVAL_STEPS], limit):
            yield LoggedDecisionStep(
                index=leaf["index"],
                time=dt.datetime.fromisoformat(leaf["time"]),
                id=data["id"],
                step=leaf["type"].split(".")[2],
                request=(data["kind"], data["subject"], data["requested_by"], data.get("organization")),
                digest=data.get("digest"),
                by=data.get("by"),
                expires_at=_moment(data.get("expires_at")),
            )

    def applied(self, limit: int) -> set[str]:
        """Return the requests to vet applications: without effect, the directory erases their changes."""
        decided = self._entries.said([ApplicationDecided.type], limit)
        return {data["approval_id"] for _, data in decided if data.get("approval_id") is not None}

    def sealing_keys(self) -> list[StoredKey]:
        """Return every sealing key that the directory says an organisation has or had."""
        made = select(REVISIONS).where(REVISIONS.c.subject == "organization")
        with self._engine.connect() as connection:
            # The keys first: a key is kept in the transaction of its revision.
            rows = connection.execute(select(SEALING_KEYS)).all()
            changed = {
                (row.id, row.number): (row.changed_at, row.changed_by) for row in connection.execute(made)
            }
        found = []
        for row in rows:
            at, by = changed.get((row.organization, row.number), (row.since, row.by))
            found.append(
                StoredKey(
                    organization=row.organization,
                    kid=_kid(row.key),
                    number=row.number,
                    changed_at=at,
                    changed_by=by,
                    since=row.since,
                    how=(row.manner, row.by, row.approved_by),
                )
            )
        return found

    def logged_keys(self, limit: int) -> Iterator[LoggedKey]:
        """Yield the sealing keys in the log, each with the entry that has it. limit: entries per query."""
        types = [SealingKeyReplaced.type, "kopuro.organization.changed.v1"]
        for leaf, data in self._entries.said(types, limit):
            replaced = leaf["type"] == SealingKeyReplaced.type
            organization = data["organization"]
            record: Mapping[str, Any] = data if replaced else (organization.get("sealing_key") or {})
            if "kid" in record:
                yield LoggedKey(
                    organization=organization if replaced else organization["id"],
                    kid=record["kid"],
                    index=leaf["index"],
                    time=dt.datetime.fromisoformat(leaf["time"]),
                    how=(data["manner"], data["by"], data.get("approved_by")) if replaced else None,
                    number=None if replaced else data["revision"],
                )

    def notices_since(self, limit: int) -> int | None:
        """Return the index of the first entry of a build that publishes who replaced keys, or None.

        Such a build names the author of each record, or how the record got its key, and it publishes notices.
        limit: entries per query.
        """
        changed = [f"kopuro.{subject}.changed.v1" for subject in PUBLISHED]
        for leaf, data in self._entries.said([*changed, *_NOTICES], limit):
            record = data.get("organization")
            names_change = isinstance(record, Mapping) and record.get("sealing_key_change") is not None
            if leaf["type"] in _NOTICES or names_change or data.get("by") or data.get("record_sha256"):
                index: int = leaf["index"]
                return index
        return None

    def clients(self) -> list[RegisteredClient]:
        """Return every client with its place in the order of its principal's."""
        with self._engine.connect() as connection:
            return [
                RegisteredClient(id=row.id, principal=row.principal, place=row.registered)
                for row in connection.execute(select(CLIENT_ORDER))
            ]

    def proof_keys(self) -> tuple[list[tuple[str, str]], dict[str, set[str]]]:
        """Return the clients and secrets of all keys of proofs, and the secrets of all clients' revisions."""
        wanted = select(REVISIONS).where(REVISIONS.c.subject == "client")
        secrets: dict[str, set[str]] = defaultdict(set)
        with self._engine.connect() as connection:
            # The keys first: a secret is in a revision before it has a key.
            stored = [(row.client_id, row.secret_sha256) for row in connection.execute(select(PROOF_KEYS))]
            for row in connection.execute(wanted):
                secrets[row.id].add(str((json_object(row.record) or {}).get("secret_sha256")))
        return stored, secrets


def _digest(subject: str, record: str) -> str:
    """Return the digest of what is compared of a stored record; DAMAGED for one that cannot be read."""
    stored = json_object(record)
    try:
        return DAMAGED if stored is None else record_digest(compared_record(subject, stored))
    except (KeyError, NotCanonical):
        return DAMAGED


def _kid(key: str) -> str | None:
    kid = (json_object(key) or {}).get("kid")
    return kid if isinstance(kid, str) else None


def _may_be_erased(row: Any) -> bool:
    """Return whether the change is blank, as `ApplicationSteps.approval_settled` leaves it."""
    blank = json_object(row.change) == {}
    return blank and row.kind == ApprovalKind.vetting and row.state in REFUSALS


def _change_digest(row: Any) -> str | None:
    """Return the digest of the stored change; None for one of an unknown kind.

    DAMAGED: it cannot be read.
    """
    change = json_object(row.change)
    if change is None:
        return DAMAGED
    try:
        return digest(ApprovalKind(row.kind), change, row.basis)
    except NotCanonical:
        return DAMAGED
    except ValueError:
        return None


def _change_concerns(row: Any) -> str | None:
    """Return whom the stored change is about; None for one that is blank or damaged."""
    change = json_object(row.change)
    try:
        return restored(ApprovalKind(row.kind), change).concerned if change else None
    except (Malformed, ValueError):
        return None


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)
