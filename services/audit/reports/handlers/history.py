"""The history, for those who may look into it; that they looked goes on record before they see anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from contracts.errors import Defect, Refused
from contracts.facts import HistoryExported, HistoryRead
from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.ports import (
    Head,
    Log,
    OpenedLeaf,
    Proof,
    Published,
    PublishedTree,
    Search,
    StoredLeaf,
)
from services.audit.reports.domain.party_view import LoggedStep, readable_by
from services.audit.reports.handlers.looking import look
from services.audit.reports.handlers.record import AccessRecorder

# A referral has some tens of entries; each look at it adds one.
MOST_EXPORTED: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a page begins: at entry `start` of the first `size`.

    The size is that of the first page. What is appended while somebody turns pages, their own reads
    above all, would otherwise never let them come to an end.
    """

    start: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPage:
    """leaves: by index. following: where the next page begins, None after the last. head: the present one."""

    leaves: tuple[StoredLeaf, ...]
    following: Position | None
    head: Head


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledEntry:
    """An entry, what opens it, and the proof that it is in the tree."""

    leaf: OpenedLeaf
    proof: Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """All that an auditor needs to check one referral's history without us.

    log_key: the log's public key, as signed notes write it.
    """

    referral_id: str
    log_key: str
    published: Published
    entries: tuple[BundledEntry, ...]
    created_at: dt.datetime


class History:
    """Reads, each of which leaves an entry of its own."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        published: PublishedTree,
        record: AccessRecorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._published = published
        self._record = record
        self._clock = clock

    def page(self, reader: str, search: Search, position: Position | None, limit: int) -> HistoryPage:
        """Up to `limit` entries that match, oldest first. reader: the id of who asks.

        Fewer where little matches: what follows says whether there is more to look through.
        """
        with self._database.read() as transaction:
            head = self._head(self._log.head(transaction))
            start = 0 if position is None else position.start
            # A cursor carries no rights: a size from nowhere reaches no further than the log does.
            stop = head.size if position is None else min(position.size, head.size)
        leaves, beyond = look(self._database, self._log, search, start=start, stop=stop, limit=limit)
        following = None if beyond is None else Position(start=beyond, size=stop)
        self.record(reader, search.referral_id, search.as_asked(), len(leaves))
        return HistoryPage(leaves=tuple(leaves), following=following, head=head)

    def entry(self, reader: str, index: int) -> StoredLeaf:
        """One entry. Raises Refused `not-found`."""
        with self._database.read() as transaction:
            size = self._head(self._log.head(transaction)).size
            leaves = self._log.leaves(transaction, index, index + 1) if index < size else []
        if not leaves:
            raise Refused("not-found", f"The log has {size} entries so far.")
        self.record(reader, leaves[0].referral_id, {"index": index}, 1)
        return leaves[0]

    def export(self, reader: str, referral_id: str) -> Bundle:
        """A referral's entries with the proofs that they are in the published log.

        Against the newest checkpoint that enough witnesses cosigned, when it reaches the last of them.
        What was appended within the last second may not be in it yet. Raises Refused `not-found`, and
        `bundle-too-large` for a history that one file should not hold.
        """
        size = self._published.size
        with self._database.read() as transaction:
            leaves = self._log.opened_leaves(transaction, referral_id, stop=size, limit=MOST_EXPORTED + 1)
        if not leaves:
            raise Refused("not-found", "The published log has no entry of this referral.")
        if len(leaves) > MOST_EXPORTED:
            raise Refused("bundle-too-large", f"One bundle holds {MOST_EXPORTED} entries.")
        published = self._published.covering(leaves[-1].index)
        assert published is not None
        entries = tuple(
            BundledEntry(leaf=leaf, proof=self._published.inclusion(leaf.index, published.size))
            for leaf in leaves
        )
        exported = HistoryExported(
            reader=reader, referral_id=referral_id, entries=len(entries), size=published.size
        )
        self._record.say(exported, referral_id)
        return Bundle(
            referral_id=referral_id,
            log_key=self._published.verifier_key,
            published=published,
            entries=entries,
            created_at=self._clock.now(),
        )

    def record(self, reader: str, referral_id: str | None, asked: Mapping[str, Any], entries: int) -> None:
        """Puts a read on record; that of a referral stands in the referral's own history."""
        self._record.say(HistoryRead(reader=reader, filter=asked, entries=entries), referral_id or reader)

    def opened(
        self, reader: str, referral_id: str, asked: Mapping[str, Any], *, as_party: bool = False
    ) -> list[OpenedLeaf]:
        """A referral's entries with what still opens them, on record as `asked`.

        as_party: the reader is an organisation and gets what it may see (`domain/party_view.py`). Raises
        Refused `not-found`, also for an organisation that is no party, and `bundle-too-large` for a history
        that nobody reads at once.
        """
        with self._database.read() as transaction:
            size = self._head(self._log.head(transaction)).size
            leaves = self._log.opened_leaves(transaction, referral_id, stop=size, limit=MOST_EXPORTED + 1)
        readable = readable_by(reader, [_step(leaf) for leaf in leaves]) if as_party else None
        if not leaves or (as_party and readable is None):
            raise Refused("not-found", "The log has no entry of this referral for you.")
        if len(leaves) > MOST_EXPORTED:
            raise Refused("bundle-too-large", f"At most {MOST_EXPORTED} entries are told at once.")
        if readable is not None:
            leaves = [leaf for leaf in leaves if leaf.index in readable]
        self.record(reader, referral_id, {"referral": referral_id, **asked}, len(leaves))
        return leaves

    @staticmethod
    def _head(head: Head | None) -> Head:
        if head is None:
            raise Defect("The log has not been founded.")
        return head


def _step(opened: OpenedLeaf) -> LoggedStep:
    leaf = orjson.loads(opened.leaf)
    return LoggedStep(
        index=opened.index, type=leaf["type"], actor=leaf["actor"], organization=leaf["organization"]
    )
