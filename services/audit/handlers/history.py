"""The history, for those who may look into it; that they looked goes on record before they see anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.envelope import Event
from contracts.errors import Defect, Refused
from contracts.facts import HistoryRead
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox import Outbox, outgoing
from runtime.storage.database import Database
from services.audit.domain.head import Head
from services.audit.domain.search import Search
from services.audit.ports import Log, StoredLeaf


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a page begins: at entry `start` of the first `size`.

    The size is that of the first page. What is appended while somebody turns pages, their own reads
    above all, would otherwise never let them come to an end.
    """

    start: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """leaves: by index. following: where the next page begins, None after the last. head: the present one."""

    leaves: tuple[StoredLeaf, ...]
    following: Position | None
    head: Head


class History:
    """Reads, each of which leaves an entry of its own."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        outbox: Outbox,
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        """source: the CloudEvents source of this service. after_commit: wakes the relay."""
        self._database = database
        self._log = log
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._after_commit = after_commit

    def page(self, reader: str, search: Search, position: Position | None, limit: int) -> Page:
        """Up to `limit` entries that match, oldest first. reader: the id of who asks."""
        with self._database.read() as transaction:
            head = self._head(self._log.head(transaction))
            start = 0 if position is None else position.start
            # A cursor carries no rights: a size from nowhere reaches no further than the log does.
            stop = head.size if position is None else min(position.size, head.size)
            found = self._log.search(transaction, search, start=start, stop=stop, limit=limit + 1)
        leaves = tuple(found[:limit])
        more = len(found) > limit
        following = Position(start=leaves[-1].index + 1, size=stop) if more else None
        self._record(reader, search.referral_id, search.as_asked(), len(leaves))
        return Page(leaves=leaves, following=following, head=head)

    def entry(self, reader: str, index: int) -> StoredLeaf:
        """One entry. Raises Refused `not-found`."""
        with self._database.read() as transaction:
            size = self._head(self._log.head(transaction)).size
            leaves = self._log.leaves(transaction, index, index + 1) if index < size else []
        if not leaves:
            raise Refused("not-found", f"The log has {size} entries so far.")
        self._record(reader, leaves[0].referral_id, {"index": index}, 1)
        return leaves[0]

    def _record(self, reader: str, referral_id: str | None, asked: Mapping[str, Any], entries: int) -> None:
        """Committed before the answer leaves: a crash in between records a read that nobody saw."""
        number = new_id()
        event = Event(
            id=number,
            source=self._source,
            time=self._clock.now(),
            # A referral's reads stand in the referral's own history.
            partition_key=referral_id or reader,
            correlation_id=number,
            causation_id=None,
            data=HistoryRead(reader=reader, filter=asked, entries=entries),
        )
        with self._database.write() as transaction:
            self._outbox.add(transaction, [outgoing(event)])
        self._after_commit()

    @staticmethod
    def _head(head: Head | None) -> Head:
        if head is None:
            raise Defect("The log has not been founded.")
        return head
