"""Read-only queries of the services' replicas of the directory, and of the entries of the log about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Engine, select

from admin.reconciliation.compared_rows import PUBLISHED, record_digest, revision_of
from admin.reconciliation.directory_differences import RecordRevision
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.replica_differences import (
    LoggedState,
    LoggedStates,
    RecordId,
    ReplicatedRecord,
    StoredReplica,
)
from admin.reconciliation.service_tables import REPLICA
from admin.reconciliation.stored_values import DAMAGED
from contracts.facts import CATALOGUE
from contracts.records import Malformed, plain, read
from contracts.topology import REPLICA_QUEUES
from runtime.messaging.replica import STATE
from services.directory.domain.full_state import subjects_for

# Members that are not part of the record: snapshots lack the first two, and earlier builds the digest.
_ABOUT_THE_CHANGE: Final = ("by", "reason", "record_sha256")
_CHANGED: Final = {f"kopuro.{subject}.changed.v1": subject for subject in PUBLISHED}


class ReplicaStates:
    """The replicas beside the log."""

    def __init__(self, engines: Mapping[str, Engine], entries: OpenedEntries) -> None:
        self._engines = engines
        self._entries = entries

    def replicas(self) -> list[StoredReplica]:
        """Return the replica of each service that has one."""
        return [self._replica(queue) for queue in sorted(REPLICA_QUEUES)]

    def logged(self, replicas: Sequence[StoredReplica], settled: dt.datetime, limit: int) -> LoggedStates:
        """Return what the log says. settled: later entries are not the newest. limit: entries per query."""
        wanted = {record.revision for replica in replicas for record in replica.records}
        newest: dict[RecordId, LoggedState] = {}
        contents: dict[RecordRevision, tuple[str, int]] = {}
        for page in self._entries.pages(list(_CHANGED), limit):
            for opened in page:
                if opened.data is None:
                    continue
                type = opened.fields["type"]
                revision = revision_of(type, opened.data)
                if revision in wanted:
                    contents.setdefault(revision, (_content(type, opened.data), opened.index))
                id = (revision.subject, revision.id)
                state = newest.get(id)
                is_newer = state is None or state.number < revision.number
                if is_newer and dt.datetime.fromisoformat(opened.fields["time"]) <= settled:
                    newest[id] = LoggedState(number=revision.number, index=opened.index)
        return LoggedStates(newest=newest, contents=contents)

    def _replica(self, queue: str) -> StoredReplica:
        service = queue.split(".")[0]
        records: list[ReplicatedRecord] = []
        complete = False
        with self._engines[service].connect() as connection:
            for row in connection.execute(select(REPLICA)):
                subject = _CHANGED.get(row.type)
                if subject is None:
                    complete |= row.type == STATE
                    continue
                revision = RecordRevision(subject=subject, id=row.key, number=row.revision)
                records.append(ReplicatedRecord(revision=revision, content=_stored(row)))
        return StoredReplica(
            service=service,
            subjects=frozenset(subject.value for subject in subjects_for(queue)),
            complete=complete,
            records=records,
        )


def _stored(row: Any) -> str:
    """Return the digest of a row's content, or DAMAGED if the content names another record than the row."""
    try:
        data = orjson.loads(row.data)
        named = revision_of(row.type, data)
    except (ValueError, KeyError, TypeError):
        return DAMAGED
    return _content(row.type, data) if (named.id, named.number) == (row.key, row.revision) else DAMAGED


def _content(type: str, data: Mapping[str, Any]) -> str:
    """Return the digest of what a fact says of its record, the same in later builds."""
    try:
        said: Mapping[str, Any] = plain(read(CATALOGUE[type], data))
    except Malformed:
        said = data
    return record_digest(_without(said, _ABOUT_THE_CHANGE))


def _without(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}
