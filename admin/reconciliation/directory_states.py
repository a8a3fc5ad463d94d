"""Read-only queries of the directory's database, and of the entries of the log about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import Engine, select

from admin.reconciliation.compared_rows import (
    PUBLISHED,
    compared_record,
    logged_record,
    record_digest,
    revision_of,
)
from admin.reconciliation.directory_differences import LoggedRevision, RecordRevision
from admin.reconciliation.directory_rows import LoggedDecisionStep, LoggedKey, StoredApproval, StoredKey
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.service_tables import APPROVALS, RECORDS, REVISIONS, SEALING_KEYS
from contracts.facts import (
    ApprovalEndorsed,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    SealingKeyReplaced,
)

_APPROVAL_STEPS: Final = (ApprovalRequested, ApprovalEndorsed, ApprovalGranted, ApprovalRefused)


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
        for leaf, data in self._opened([f"kopuro.{subject}.changed.v1" for subject in PUBLISHED], limit):
            revision = revision_of(leaf["type"], data)
            record = logged_record(revision.subject, data)
            entry = LoggedRevision(
                index=leaf["index"],
                time=dt.datetime.fromisoformat(leaf["time"]),
                # None: an earlier build logged no digest of a client's record.
                content=None if record is None else record_digest(record),
            )
            found.setdefault(revision, entry)
        return found

    def approvals(self) -> list[StoredApproval]:
        """Return all requests for approval."""
        with self._engine.connect() as connection:
            return [
                StoredApproval(
                    id=row.id,
                    request=(row.kind, row.subject, row.requested_by),
                    digest=row.digest,
                    requested_at=row.requested_at,
                    state=row.state,
                    decided_by=row.decided_by,
                    endorsed_by=row.endorsed_by,
                )
                for row in connection.execute(select(APPROVALS))
            ]

    def logged_approvals(self, limit: int) -> Iterator[LoggedDecisionStep]:
        """Yield what the log says of requests for approval, in its order. limit: entries per query."""
        for leaf, data in self._opened([fact.type for fact in _APPROVAL_STEPS], limit):
            yield LoggedDecisionStep(
                index=leaf["index"],
                time=dt.datetime.fromisoformat(leaf["time"]),
                id=data["id"],
                step=leaf["type"].split(".")[2],
                request=(data["kind"], data["subject"], data["requested_by"]),
                digest=data.get("digest"),
                by=data.get("by"),
            )

    def sealing_keys(self) -> list[StoredKey]:
        """Return every sealing key that the directory says an organisation has or had."""
        with self._engine.connect() as connection:
            return [
                StoredKey(organization=row.organization, kid=str(_json(row.key).get("kid")), since=row.since)
                for row in connection.execute(select(SEALING_KEYS))
            ]

    def logged_keys(self, limit: int) -> Iterator[LoggedKey]:
        """Yield the sealing keys in the log, each with the entry that has it. limit: entries per query."""
        types = [SealingKeyReplaced.type, "kopuro.organization.changed.v1"]
        for leaf, data in self._opened(types, limit):
            replaced = leaf["type"] == SealingKeyReplaced.type
            organization = data["organization"]
            record: Mapping[str, Any] = data if replaced else (organization.get("sealing_key") or {})
            if "kid" in record:
                yield LoggedKey(
                    organization=organization if replaced else organization["id"],
                    kid=record["kid"],
                    index=leaf["index"],
                    time=dt.datetime.fromisoformat(leaf["time"]),
                )

    def _opened(self, types: list[str], limit: int) -> Iterator[tuple[Mapping[str, Any], Any]]:
        """Yield the fields, with the index, and the data of the entries of these types."""
        for page in self._entries.pages(types, limit):
            for opened in page:
                if opened.data is not None:
                    yield {**opened.fields, "index": opened.index}, opened.data


def _digest(subject: str, record: str) -> str:
    return record_digest(compared_record(subject, _json(record)))


def _json(text: str) -> Any:
    return orjson.loads(text)
