"""Differences between the audit log and the records of the directory.

Its revisions are compared both ways: otherwise an organisation could be vetted unrecorded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from admin.reconciliation.differences import Difference
from admin.reconciliation.stored_values import DAMAGED

# The author of a change of a record, and the reason if the change suspends the organisation.
Author = tuple[str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordRevision:
    """One change of a directory record. subject: the record's kind, as in `<subject>.changed`."""

    subject: str
    id: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRevision:
    """The log entry of a revision. content: the digest of the logged record; None: it is not compared.

    author: who changed the record, and why that suspends it; None in an entry that does not say who.
    """

    index: int
    time: dt.datetime
    content: str | None = None
    author: Author | None = None


def directory_differences(
    made: Mapping[RecordRevision, dt.datetime],
    contents: Mapping[RecordRevision, str],
    logged: Mapping[RecordRevision, LoggedRevision],
    settled: dt.datetime,
    authors: Mapping[RecordRevision, Author] | None = None,
) -> Iterator[Difference]:
    """Yield revisions without a log entry or with another record, and entries without a revision.

    made: the time of each change. contents: the digest of its record. authors: of the changes; None if they
    and the times are not compared. settled: later changes are not
    compared.
    """

    def different(revision: RecordRevision, what: str, index: int | None = None) -> Difference:
        record = f"{revision.subject} {revision.id}"
        return Difference(referral_id=None, record=record, where="directory", what=what, index=index)

    for revision in sorted(made.keys() - logged.keys(), key=_sort_key):
        if made[revision] <= settled:
            yield different(
                revision,
                f"revision {revision.number} exists, "
                f"but the log has no {revision.subject}.changed entry for it",
            )
    for revision in sorted(logged.keys() & made.keys(), key=_sort_key):
        entry = logged[revision]
        if contents[revision] == DAMAGED:
            yield different(revision, f"the record of revision {revision.number} is damaged", entry.index)
        elif entry.content not in (None, contents[revision]) and made[revision] <= settled:
            what = f"revision {revision.number} has another record than the log: it was rewritten"
            yield different(revision, what, entry.index)
        elif (
            authors is not None
            and entry.author is not None
            and (entry.author, entry.time) != (authors[revision], made[revision])
            and entry.time <= settled
        ):
            what = f"revision {revision.number} has another author, reason or time than the log"
            yield different(revision, what, entry.index)
    for revision in sorted(logged.keys() - made.keys(), key=_sort_key):
        entry = logged[revision]
        if entry.time <= settled:
            what = f"the log has revision {revision.number}, but the directory has no such revision"
            yield different(revision, what, entry.index)


def rewritten_records(
    current: Mapping[RecordRevision, str],
    logged: Mapping[RecordRevision, LoggedRevision],
    changed_at: Mapping[RecordRevision, dt.datetime],
    settled: dt.datetime,
) -> Iterator[Difference]:
    """Yield current records that differ from the logged revision of their number.

    current: the digest of each record in force. changed_at: the time of each revision. settled: later changes
    are not compared.
    """
    for revision, content in sorted(current.items(), key=lambda item: _sort_key(item[0])):
        entry, changed = logged.get(revision), changed_at.get(revision)
        if changed is not None and changed > settled:
            continue
        if content == DAMAGED:
            what = "the record in force is damaged"
        elif changed is None:
            what = f"the record in force says revision {revision.number}, which does not exist"
        elif entry is not None and entry.content not in (None, content):
            what = f"the record in force is not revision {revision.number} of the log: it was rewritten"
        else:
            continue
        yield Difference(
            referral_id=None,
            record=f"{revision.subject} {revision.id}",
            where="directory",
            what=what,
            index=None if entry is None else entry.index,
        )


def _sort_key(revision: RecordRevision) -> tuple[str, str, int]:
    return revision.subject, revision.id, revision.number
