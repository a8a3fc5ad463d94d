"""Differences between the services' replicas of the directory and the log.

A service decides by its replica. A rewritten row there makes an organisation approved, or somebody an
operator, for that service alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from admin.reconciliation.differences import Difference
from admin.reconciliation.directory_differences import RecordRevision

# The kind of a directory record, and its id.
RecordId = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicatedRecord:
    """A record in a service's replica. content: the digest of what the service reads of it."""

    revision: RecordRevision
    content: str

    @property
    def id(self) -> RecordId:
        """Return the record's kind and id."""
        return self.revision.subject, self.revision.id


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredReplica:
    """A service's replica. subjects: the kinds of records that it has. complete: it had a whole snapshot."""

    service: str
    subjects: frozenset[str]
    complete: bool
    records: Sequence[ReplicatedRecord]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedState:
    """The newest settled revision of a record in the log. index: of its entry."""

    number: int
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStates:
    """The records according to the log.

    contents: the digest and the entry of each revision that some replica has.
    """

    newest: Mapping[RecordId, LoggedState] = field(default_factory=dict)
    contents: Mapping[RecordRevision, tuple[str, int]] = field(default_factory=dict)


def replica_differences(
    replica: StoredReplica,
    logged: LoggedStates,
    made: Mapping[RecordRevision, dt.datetime],
    settled: dt.datetime,
) -> Iterator[Difference]:
    """Yield the records of a replica that differ from the log, are missing, or are not in the log.

    made: the time of each revision of the directory. settled: later changes are not compared.
    """

    def different(id: RecordId, what: str, index: int | None = None) -> Difference:
        record = " ".join(id)
        return Difference(referral_id=None, record=record, where=replica.service, what=what, index=index)

    held = {record.id: record for record in replica.records}
    for id, record in sorted(held.items()):
        number = record.revision.number
        found = logged.contents.get(record.revision)
        newest = logged.newest.get(id)
        if found is None:
            changed = made.get(record.revision)
            if changed is None or changed <= settled:
                yield different(
                    id, f"its replica of the directory has revision {number}, which the log does not have"
                )
        elif found[0] != record.content:
            what = f"its replica of the directory differs from the log in revision {number}: it was rewritten"
            yield different(id, what, found[1])
        elif newest is not None and number < newest.number:
            what = f"its replica of the directory has revision {number}, but the log has {newest.number}"
            yield different(id, what, newest.index)
    if not replica.complete:
        # Before the first snapshot there are no records either.
        if held:
            what = "its replica of the directory is not complete: no snapshot has arrived as a whole"
            yield Difference(referral_id=None, record="replica", where=replica.service, what=what)
        return
    for id, state in sorted(logged.newest.items()):
        if id[0] in replica.subjects and id not in held:
            yield different(id, "its replica of the directory lacks the record", state.index)
