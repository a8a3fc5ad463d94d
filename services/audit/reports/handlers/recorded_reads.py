"""Finds the entries about reads of a referral: of it alone, in lists, and in exports of the log."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any, Final

import orjson

from contracts.errors import Refused
from contracts.facts import LogExported
from runtime.access.reads import Reader
from runtime.storage.database import Database
from services.audit.log.ports import CONCERNED, Log, OpenedLeaf, Search
from services.audit.reports.domain.readers import READ_TYPES, RecordedRead, Viewer, covers, viewer_of

STEP: Final = 1_000
# Takes some seconds.
MOST_READS: Final = 100_000


class RecordedReads:
    """Reads the entries about reads. It records nothing itself."""

    def __init__(self, *, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def in_lists(self, referral_id: str, *, stop: int) -> list[OpenedLeaf]:
        """Return the entries below `stop` about answers that contained the referral, by index.

        Raises Refused `bundle-too-large` for more than MOST_READS.
        """
        return self._found(Search(facets=((CONCERNED, referral_id),)), start=0, stop=stop)

    def in_exports(self, leaves: Sequence[OpenedLeaf], *, stop: int) -> list[OpenedLeaf]:
        """Return the entries below `stop` about exports that contained one of the leaves, by index.

        Raises Refused `bundle-too-large` for more than MOST_READS exports since the first leaf.
        """
        entries = []
        for leaf in leaves:
            fields = orjson.loads(leaf.leaf)
            entries.append((leaf.index, fields["type"], dt.datetime.fromisoformat(fields["time"])))
        exports = self._found(Search(type=LogExported.type), start=leaves[0].index, stop=stop)
        return [export for export in exports if export.data is not None and covers(export.data, entries)]

    def _found(self, search: Search, *, start: int, stop: int) -> list[OpenedLeaf]:
        found: list[OpenedLeaf] = []
        while start < stop:
            with self._database.read() as transaction:
                some = self._log.search(transaction, search, start=start, stop=stop, limit=STEP)
                opened = self._log.opened_at(transaction, [leaf.index for leaf in some])
                found += [opened[leaf.index] for leaf in some]
            if len(found) > MOST_READS:
                raise Refused("bundle-too-large", f"More than {MOST_READS} reads must be examined.")
            if len(some) < STEP:
                break
            start = some[-1].index + 1
            time.sleep(0)  # on SQLite nothing else runs during a step
        return found


def recorded_read(leaf: OpenedLeaf) -> RecordedRead | None:
    """Return the read that an entry is about; None for another entry, or one without content."""
    fields = orjson.loads(leaf.leaf)
    if fields["type"] not in READ_TYPES or leaf.data is None:
        return None
    return RecordedRead(
        index=leaf.index,
        time=dt.datetime.fromisoformat(fields["time"]),
        type=fields["type"],
        data=leaf.data,
    )


def viewer(reader: Reader, leaves: Sequence[OpenedLeaf], *, as_party: bool) -> Viewer:
    """Return the viewer of the reads of a referral. leaves: all of the referral's entries."""
    steps: list[tuple[str, Any]] = []
    for leaf in leaves:
        fields = orjson.loads(leaf.leaf)
        steps.append((fields["type"], fields["organization"]))
    return viewer_of(reader.id if as_party else None, steps)


def by_index(*groups: Sequence[OpenedLeaf]) -> list[OpenedLeaf]:
    """Return all leaves, each once, by index."""
    return [leaf for _, leaf in sorted({leaf.index: leaf for group in groups for leaf in group}.items())]
