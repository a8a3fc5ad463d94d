"""Reads of the history: search, entry, bundle, story. Each read is recorded before its result is returned."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from contracts.errors import Defect, Refused
from contracts.facts import HistoryExported, HistoryRead
from contracts.responses.history import RecordedRead as ShownRead
from runtime.access.daily_reads import DailyReads
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import Reader
from runtime.clock import Clock
from runtime.storage.database import Database
from runtime.turn import in_turns
from services.audit.log.ports import (
    Head,
    Log,
    OpenedLeaf,
    Proof,
    PublishedCheckpoint,
    PublishedTree,
    Search,
    StoredLeaf,
    referral_key,
)
from services.audit.reports.domain.party_view import readable_by
from services.audit.reports.domain.readers import READ_TYPES, Viewer
from services.audit.reports.domain.statements import (
    STATEMENT_TYPES,
    STEP_TYPES,
    LoggedStatement,
    not_told,
)
from services.audit.reports.handlers.paged_search import search_page
from services.audit.reports.handlers.party_leaves import leaves_for, step_of, told_leaves, without_content
from services.audit.reports.handlers.recorded_reads import RecordedReads, recorded_read, viewer

# A referral has some tens of entries besides those about reads of it.
MOST_EXPORTED: Final = 10_000
# The most statements and deliveries of a referral in its history, the first ones. An organisation may add 100
# statements a day; an ordinary referral has some tens of both.
MOST_STATEMENTS_TOLD: Final = 1_000
# Any member of the staff can add reads without end. A story shows the first; `readers` pages through all.
MOST_READS_TOLD: Final = 200
# Entries read at once: some milliseconds, during which nothing else runs on SQLite.
STEP: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """The start of a page: entry `start` of the first `size`.

    The size is that of the first page. Otherwise paging would never end, because each read appends an entry.
    """

    start: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPage:
    """A page of a search.

    leaves: by index; following: the next page, None after the last; head: the current one.
    """

    leaves: tuple[StoredLeaf, ...]
    following: Position | None
    head: Head


@dataclass(frozen=True, kw_only=True, slots=True)
class BundledEntry:
    """An entry, its opening, and its inclusion proof."""

    leaf: OpenedLeaf
    proof: Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """All that an auditor needs to verify a referral's history offline.

    log_key: the log's public key, as signed notes write it. referral_key: recognises every leaf of the
    referral in the log; None in the bundle of a party, which may not see them all.
    """

    referral_id: str
    referral_key: bytes | None
    log_key: str
    published: PublishedCheckpoint
    entries: tuple[BundledEntry, ...]
    created_at: dt.datetime


class History:
    """Reads the history. Each read by staff appends an entry of its own to the log.

    A read by a party does so once a day, and again once its answer has further steps (`daily_reads.py`).
    """

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        published: PublishedTree,
        record: ReadRecorder,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._published = published
        self._record = record
        self._clock = clock
        self._reads = RecordedReads(database=database, log=log)
        self._daily = DailyReads(lambda: clock.now().date())

    def page(self, reader: Reader, search: Search, position: Position | None, limit: int) -> HistoryPage:
        """Return up to `limit` matching entries, oldest first.

        A page may be short although more follow: `following` says whether the search continues.
        """
        with self._database.read() as transaction:
            head = self._head(self._log.head(transaction))
            start = 0 if position is None else position.start
            # A forged cursor gains nothing: its size is limited to the log's.
            stop = head.size if position is None else min(position.size, head.size)
        leaves, beyond = search_page(self._database, self._log, search, start=start, stop=stop, limit=limit)
        following = None if beyond is None else Position(start=beyond, size=stop)
        self.record(reader, search.referral_id, search.as_asked(), len(leaves), _referrals(leaves))
        return HistoryPage(leaves=tuple(leaves), following=following, head=head)

    def entry(self, reader: Reader, index: int) -> StoredLeaf:
        """Return one entry. Raises Refused `not-found`."""
        with self._database.read() as transaction:
            size = self._head(self._log.head(transaction)).size
            # A search, because it compares the leaf with the tree.
            stop = min(index + 1, size)
            leaves = self._log.search(transaction, Search(), start=index, stop=stop, limit=1)
        if not leaves:
            raise Refused("not-found", f"Entry {index} does not exist; the log has {size} entries.")
        self.record(reader, leaves[0].referral_id, {"index": index}, 1, _referrals(leaves))
        return leaves[0]

    def export(self, reader: Reader, referral_id: str, *, as_party: bool = False) -> Bundle:
        """Return a referral's entries with their inclusion proofs in the published log.

        The proofs refer to the newest sufficiently cosigned checkpoint if it covers all entries, otherwise to
        the newest checkpoint. Entries of the last second, or of the last 30 s with a cover rate, may still
        be missing. A referral with more than MOST_EXPORTED entries is returned without the last ones about
        reads.

        as_party: the reader is an organisation and gets the entries that it may see (`domain/party_view.py`),
        without those about reads, and without the key that recognises the others. An entry whose facts it may
        no longer read has no opening. Raises Refused `not-found`, also for every other organisation,
        and `bundle-too-large` for more than MOST_EXPORTED other entries.
        """
        size = self._published.size
        if as_party:
            # Entries that are not published yet may end what the party may read. An opening proves whole
            # content, so an entry without its facts has none.
            leaves = [
                without_content(leaf) if withheld else leaf
                for leaf, withheld in leaves_for(reader.id, self._steps(referral_id, stop=self._size()))
                if leaf.index < size
            ]
        else:
            leaves = self._steps(referral_id, stop=size)
        if not leaves:
            raise Refused("not-found", "The published log has no entries of this referral that you may read.")
        key = None
        if not as_party:
            leaves = self._with_others(referral_id, leaves, stop=size)
            with self._database.read() as transaction:
                key = referral_key(self._log.tag_secret(transaction), referral_id)
        # Before the checkpoint: a key that is named after it may not have signed it.
        log_key = self._published.verifier_key
        published = self._published.covering(leaves[-1].index)
        assert published is not None
        entries = []
        for leaf in in_turns(leaves):
            proof = self._published.inclusion(leaf.index, published.size)
            entries.append(BundledEntry(leaf=leaf, proof=proof))
        exported = HistoryExported(
            reader=reader.id,
            referral_id=referral_id,
            entries=len(entries),
            size=published.size,
            client_id=reader.client_id,
            roles=reader.roles,
        )
        self._record_for(
            (reader, referral_id, "bundle", len(entries)),
            lambda: self._record.record(exported, referral_id),
            as_party=as_party,
        )
        return Bundle(
            referral_id=referral_id,
            referral_key=key,
            log_key=log_key,
            published=published,
            entries=tuple(entries),
            created_at=self._clock.now(),
        )

    def record(
        self,
        reader: Reader,
        referral_id: str | None,
        asked: Mapping[str, Any],
        entries: int,
        referral_ids: Sequence[str] = (),
    ) -> None:
        """Record a read. The read of a referral becomes part of the referral's own history.

        referral_ids: the referrals in the answer.
        """
        fact = HistoryRead(
            reader=reader.id,
            filter=asked,
            entries=entries,
            client_id=reader.client_id,
            roles=reader.roles,
            referral_ids=tuple(referral_ids),
        )
        self._record.record(fact, referral_id or reader.id)

    def opened(
        self, reader: Reader, referral_id: str, asked: Mapping[str, Any], *, as_party: bool = False
    ) -> list[OpenedLeaf]:
        """Return a referral's entries with their remaining openings, and record the read with `asked`.

        Includes the first MOST_READS_TOLD reads of it, and leaves out what was refused
        (`domain/statements.py`). as_party: the reader is an organisation and gets only
        what it may see (`domain/party_view.py`, `domain/readers.py`). Raises Refused `not-found`, also for an
        organisation that is not a party, and `bundle-too-large` for more than MOST_EXPORTED other entries.
        """
        steps, size = self._of_referral(reader, referral_id, as_party=as_party)
        seen_by = viewer(reader, steps, as_party=as_party)
        if as_party:
            steps = told_leaves(reader.id, steps)
        left_out = not_told(map(_statement, steps))
        steps = [leaf for leaf in steps if leaf.index not in left_out]
        told = self._reads.of_referral(referral_id, start=0, stop=size, exports=False)
        reads = islice((leaf for leaf in told if _is_seen(seen_by, leaf)), MOST_READS_TOLD)
        leaves = sorted([*steps, *reads], key=lambda leaf: leaf.index)
        self._record_told(reader, referral_id, asked, len(leaves), as_party=as_party, steps=len(steps))
        return leaves

    def readers(
        self, reader: Reader, referral_id: str, *, start: int, limit: int, as_party: bool
    ) -> tuple[list[ShownRead], int | None]:
        """Return up to `limit` recorded reads of a referral from entry `start` on, and the next start.

        Reads of the referral alone, of lists that contained it, and exports of the log that contained an
        entry of it (`domain/readers.py`), however many there are. Recorded and refused as `opened`.
        """
        steps, size = self._of_referral(reader, referral_id, as_party=as_party)
        seen_by = viewer(reader, steps, as_party=as_party)
        start = max(start, steps[0].index)
        found = map(recorded_read, self._reads.of_referral(referral_id, start=start, stop=size))
        # One more than requested, to know whether another page follows.
        page = list(islice((read for read in found if read is not None and seen_by.sees(read)), limit + 1))
        following = page[limit].index if len(page) > limit else None
        items = [seen_by.shown(read) for read in page[:limit]]
        if as_party:
            # The record of the party's read must not count steps that the party may not see.
            steps = [leaf for leaf, _ in leaves_for(reader.id, steps)]
        asked = {"readers": "true"}
        self._record_told(reader, referral_id, asked, len(items), as_party=as_party, steps=len(steps))
        return items, following

    def _record_told(
        self,
        reader: Reader,
        referral_id: str,
        asked: Mapping[str, Any],
        entries: int,
        *,
        as_party: bool,
        steps: int,
    ) -> None:
        """Record that a referral's story or readers were read. steps: that the reader may see."""
        filter = {"referral": referral_id, **asked}
        self._record_for(
            (reader, referral_id, *sorted(asked.items()), steps),
            lambda: self.record(reader, referral_id, filter, entries, (referral_id,)),
            as_party=as_party,
        )

    def _record_for(self, read: Hashable, record: Callable[[], None], *, as_party: bool) -> None:
        """Record a read: by a party once a day."""
        if as_party:
            self._daily.record_once(read, record)
        else:
            record()

    def _of_referral(
        self, reader: Reader, referral_id: str, *, as_party: bool
    ) -> tuple[list[OpenedLeaf], int]:
        """Return the steps of a referral that the reader may ask about, and the size of the log."""
        leaves = self._steps(referral_id, stop=(size := self._size()))
        readable = readable_by(reader.id, [step_of(leaf) for leaf in leaves]) if as_party else None
        if not leaves or (as_party and readable is None):
            raise Refused("not-found", "The log has no entries about this referral that you may read.")
        return leaves, size

    def _with_others(self, referral_id: str, steps: Sequence[OpenedLeaf], *, stop: int) -> list[OpenedLeaf]:
        """Return the steps, and as many of the referral's other entries as fit, by index."""
        shown = {leaf.index for leaf in steps}
        first = islice(self._leaves(referral_id, stop=stop), MOST_EXPORTED)
        others = [leaf for leaf in first if leaf.index not in shown]
        return sorted([*steps, *others[: MOST_EXPORTED - len(steps)]], key=lambda leaf: leaf.index)

    def _steps(self, referral_id: str, *, stop: int) -> list[OpenedLeaf]:
        """Return the entries of a referral below `stop`, by index, without those about reads.

        Includes only the first MOST_STATEMENTS_TOLD statements and deliveries (`domain/statements.py`).
        Raises Refused `bundle-too-large` for more than MOST_EXPORTED other entries.
        """
        others = self._leaves(referral_id, stop=stop, without=READ_TYPES | STATEMENT_TYPES)
        steps = list(islice(others, MOST_EXPORTED + 1))
        if len(steps) > MOST_EXPORTED:
            raise Refused(
                "bundle-too-large",
                f"The history has more than {MOST_EXPORTED} entries besides its reads and statements.",
            )
        stated = self._leaves(referral_id, stop=stop, without=READ_TYPES | STEP_TYPES)
        statements = [
            leaf
            for leaf in islice(stated, MOST_STATEMENTS_TOLD)
            if leaf.fields["type"] in STATEMENT_TYPES  # a type of another build is among the steps
        ]
        return sorted([*steps, *statements], key=lambda leaf: leaf.index)

    def _leaves(self, referral_id: str, *, stop: int, without: Collection[str] = ()) -> Iterator[OpenedLeaf]:
        """Yield the leaves of a referral below `stop`, by index, and let other requests run in between."""
        start = 0
        while True:
            with self._database.read() as transaction:
                some = self._log.opened_leaves(
                    transaction, referral_id, start=start, stop=stop, limit=STEP, without=without
                )
            yield from some
            if len(some) < STEP:
                return
            start = some[-1].index + 1
            time.sleep(0)

    def _size(self) -> int:
        """Return the number of entries, published or not."""
        with self._database.read() as transaction:
            return self._head(self._log.head(transaction)).size

    @staticmethod
    def _head(head: Head | None) -> Head:
        if head is None:
            raise Defect("The log is not initialized.")
        return head


def _referrals(leaves: Sequence[StoredLeaf]) -> list[str]:
    """Return the referrals that the leaves are about, each once."""
    return list(dict.fromkeys(leaf.referral_id for leaf in leaves if leaf.referral_id is not None))


def _is_seen(viewer: Viewer, leaf: OpenedLeaf) -> bool:
    read = recorded_read(leaf)
    return read is not None and viewer.sees(read)


def _statement(leaf: OpenedLeaf) -> LoggedStatement:
    fields = leaf.fields
    return LoggedStatement(
        index=leaf.index,
        type=fields["type"],
        message_id=fields["message_id"],
        organization=fields["organization"],
        data=leaf.data if isinstance(leaf.data, dict) else None,
    )
