"""Finds the entries about reads of a referral: of it alone, in lists, and in exports of the log."""

from __future__ import annotations

import datetime as dt
import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.facts import LogExported
from runtime.access.reads import Reader
from runtime.storage.database import Database
from services.audit.log.ports import CONCERNED, Log, OpenedLeaf, Search
from services.audit.reports.domain.party_view import end_of_part
from services.audit.reports.domain.readers import READ_TYPES, RecordedRead, Viewer, viewer_of
from services.audit.reports.handlers.party_leaves import step_of

# Takes some milliseconds, during which nothing else runs on SQLite.
STEP: Final = 100


class RecordedReads:
    """Reads the entries about reads, a step at a time, however many there are. It records nothing itself."""

    def __init__(self, *, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def of_referral(
        self, referral_id: str, *, start: int, stop: int, exports: bool = True
    ) -> Iterator[OpenedLeaf]:
        """Yield the entries of `[start, stop)` about reads of the referral, by index, each once.

        Reads of the referral alone, answers that contained it, and exports that contained an entry of it.
        exports: whether to include the latter; each export since the referral must be examined.
        """
        kinds = [
            self._found(Search(referral_id=referral_id), start=start, stop=stop),
            self._found(Search(facets=((CONCERNED, referral_id),)), start=start, stop=stop),
        ]
        if exports:
            kinds.append(self._exports(referral_id, start=start, stop=stop))
        found = heapq.merge(*kinds, key=lambda leaf: leaf.index)
        latest = -1
        for leaf in found:
            if leaf.index > latest and recorded_read(leaf) is not None:
                latest = leaf.index
                yield leaf

    def _exports(self, referral_id: str, *, start: int, stop: int) -> Iterator[OpenedLeaf]:
        for export in self._found(Search(type=LogExported.type), start=start, stop=stop):
            if export.data is not None and self._contained(export.data, referral_id):
                yield export

    def _contained(self, export: Mapping[str, Any], referral_id: str) -> bool:
        """Return whether an export contained an entry of the referral, by the same search as the export."""
        asked = export.get("filter") or {}
        search = Search(
            referral_id=referral_id,
            type=asked.get("type"),
            since=_moment(asked.get("from")),
            until=_moment(asked.get("to")),
        )
        with self._database.read() as transaction:
            return bool(
                self._log.search(transaction, search, start=export["start"], stop=export["stop"], limit=1)
            )

    def _found(self, search: Search, *, start: int, stop: int) -> Iterator[OpenedLeaf]:
        while start < stop:
            with self._database.read() as transaction:
                some = self._log.search(transaction, search, start=start, stop=stop, limit=STEP)
                opened = self._log.opened_at(transaction, [leaf.index for leaf in some])
            yield from (opened[leaf.index] for leaf in some)
            if len(some) < STEP:
                break
            start = some[-1].index + 1
            time.sleep(0)  # on SQLite nothing else runs during a step


def recorded_read(leaf: OpenedLeaf) -> RecordedRead | None:
    """Return the read that an entry is about; None for another entry, or one without content."""
    fields = leaf.fields
    if fields["type"] not in READ_TYPES or leaf.data is None:
        return None
    return RecordedRead(
        index=leaf.index,
        time=dt.datetime.fromisoformat(fields["time"]),
        type=fields["type"],
        data=leaf.data,
    )


def viewer(reader: Reader, leaves: Sequence[OpenedLeaf], *, as_party: bool) -> Viewer:
    """Return the viewer of the reads of a referral. leaves: the referral's steps."""
    steps: list[tuple[str, Any]] = []
    for leaf in leaves:
        fields = leaf.fields
        steps.append((fields["type"], fields["organization"]))
    if not as_party:
        return viewer_of(None, steps)
    return viewer_of(reader.id, steps, until=end_of_part(reader.id, [step_of(leaf) for leaf in leaves]))


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)
