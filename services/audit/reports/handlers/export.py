"""The published log in bulk, page by page; each page that is taken away goes on record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from contracts.facts import LogExported
from runtime.storage.database import Database
from services.audit.log.ports import Log, OpenedLeaf, Published, PublishedTree, Search
from services.audit.reports.handlers.history import Position
from services.audit.reports.handlers.looking import look
from services.audit.reports.handlers.record import AccessRecorder

# Some ten milliseconds, during which nothing else runs on SQLite.
OPENED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportPage:
    """leaves: by index, with what still opens them. size: of the log that is exported, the same for every
    page. published: the newest checkpoint; that of the first page is of this size."""

    leaves: tuple[OpenedLeaf, ...]
    following: Position | None
    size: int
    published: Published


class Export:
    """What is not published yet is not exported: every entry lies under the checkpoint of the first page."""

    def __init__(
        self, *, database: Database, log: Log, published: PublishedTree, record: AccessRecorder
    ) -> None:
        self._database = database
        self._log = log
        self._published = published
        self._record = record

    def page(
        self, reader: str, search: Search, position: Position | None, limit: int, *, form: str
    ) -> ExportPage:
        """Up to `limit` entries that match. form: what they are written as, for the record.

        Raises Unavailable in the first moment of a log.
        """
        published = self._published.newest()
        start = 0 if position is None else position.start
        stop = published.size if position is None else min(position.size, published.size)
        found, beyond = look(self._database, self._log, search, start=start, stop=stop, limit=limit)
        leaves: list[OpenedLeaf] = []
        for at in range(0, len(found), OPENED_AT_ONCE):
            with self._database.read() as transaction:
                leaves += self._log.opened(transaction, found[at : at + OPENED_AT_ONCE])
            time.sleep(0)
        following = None if beyond is None else Position(start=beyond, size=stop)
        exported = LogExported(
            reader=reader,
            form=form,
            filter=search.as_asked(),
            start=start,
            stop=stop if beyond is None else beyond,
            entries=len(leaves),
            size=stop,
        )
        self._record.say(exported, reader)
        return ExportPage(leaves=tuple(leaves), following=following, size=stop, published=published)
