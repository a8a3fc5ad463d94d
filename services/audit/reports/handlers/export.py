"""Bulk export of the published log, page by page. Every exported page is recorded in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.facts import LogExported
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import Reader
from runtime.storage.database import Database
from services.audit.log.ports import Log, OpenedLeaf, PublishedCheckpoint, PublishedTree, Search
from services.audit.reports.handlers.history import Position
from services.audit.reports.handlers.paged_search import search_page

# Takes about ten milliseconds, during which nothing else runs on SQLite.
OPENED_AT_ONCE: Final = 1_000
# Characters of content: of the entries that are opened at once, and of a page. An entry beyond either stands
# alone.
CHARACTERS_AT_ONCE: Final = 1024 * 1024
CHARACTERS_A_PAGE: Final = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportPage:
    """A page of an export. leaves: by index, with their remaining openings. size: of the exported log, the
    same for every page. published: the newest checkpoint; on the first page it has this size."""

    leaves: tuple[OpenedLeaf, ...]
    following: Position | None
    size: int
    published: PublishedCheckpoint


class Export:
    """Exports published entries only: the checkpoint of the first page covers every entry of the export."""

    def __init__(
        self, *, database: Database, log: Log, published: PublishedTree, record: ReadRecorder
    ) -> None:
        self._database = database
        self._log = log
        self._published = published
        self._record = record

    def page(
        self, reader: Reader, search: Search, position: Position | None, limit: int, *, form: str
    ) -> ExportPage:
        """Return up to `limit` matching entries, fewer if their content is long.

        form: the output format, for the access record.

        Raises Unavailable until the first checkpoint is published.
        """
        published = self._published.newest()
        start = 0 if position is None else position.start
        stop = published.size if position is None else min(position.size, published.size)
        found, beyond = search_page(self._database, self._log, search, start=start, stop=stop, limit=limit)
        leaves: list[OpenedLeaf] = []
        left = CHARACTERS_A_PAGE
        for indices, characters in self._groups([leaf.index for leaf in found]):
            if leaves and characters > left:
                beyond = indices[0]
                break
            left -= characters
            with self._database.read() as transaction:
                opened = self._log.opened_at(transaction, indices)
            leaves += [opened[index] for index in indices]
            time.sleep(0)
        following = None if beyond is None else Position(start=beyond, size=stop)
        exported = LogExported(
            reader=reader.id,
            client_id=reader.client_id,
            roles=reader.roles,
            form=form,
            filter=search.as_asked(),
            start=start,
            stop=stop if beyond is None else beyond,
            entries=len(leaves),
            size=stop,
        )
        self._record.record(exported, reader.id)
        return ExportPage(leaves=tuple(leaves), following=following, size=stop, published=published)

    def _groups(self, indices: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Yield the entries that may be opened at once, with the characters of their content."""
        for at in range(0, len(indices), OPENED_AT_ONCE):
            some = indices[at : at + OPENED_AT_ONCE]
            with self._database.read() as transaction:
                sizes = self._log.content_sizes(transaction, some)
            group: list[int] = []
            characters = 0
            for index in some:
                size = sizes.get(index, 0)
                if group and characters + size > CHARACTERS_AT_ONCE:
                    yield group, characters
                    group, characters = [], 0
                group.append(index)
                characters += size
            yield group, characters
