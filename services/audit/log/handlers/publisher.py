"""Publishes what the database holds: tiles first, then the checkpoint that vouches for them.

The database alone says what the log is; what is published is a copy of its beginning. The crash points of
a publication, in order:

1. *appended, not yet published*: the entry is committed and signed for. After the restart the first turn
   publishes it.
2. *tiles written, checkpoint not yet swapped*: nobody is pointed to the new tiles. They are the same when
   they are written again, for a tile's content follows from its name and the log alone.
3. *swapped, not yet noted*: everybody sees the checkpoint; what follows from it (receipts) is not on its
   way yet. The note in the database is older than the checkpoint, and the next turn makes up for it: the
   receipts and the note are one transaction, so nobody gets two.

A swap may also fail and have taken effect. So nothing is remembered of what was attempted: each turn begins
with a look at what is published.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol

from sqlalchemy import Connection

from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import root_at
from services.audit.log.domain.published import Published
from services.audit.log.domain.tiles import ENTRIES, Tile, bundle, tiles_between
from services.audit.log.handlers.published_log import PublicationDamaged, PublishedLog
from services.audit.log.ports import Log, LogPublication, PublicationRecord

TILES_AT_A_TIME: Final = 16
ENTRIES_NOTED_AT_A_TIME: Final = 2_000


class Lease(Protocol):
    """The right to publish, which one process has at a time. `runtime.storage.exclusive_lock`."""

    def held(self) -> bool: ...


class AfterPublish(Protocol):
    """What follows from the publication of the entries `[start, stop)`: messages."""

    def __call__(
        self, transaction: Connection, published: Published, start: int, stop: int, /
    ) -> Sequence[Outgoing]: ...


class LogPublisher:
    """`turn` is called again and again, never twice at a time."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        record: PublicationRecord,
        publication: LogPublication,
        published: PublishedLog,
        lease: Lease,
        outbox: Outbox,
        after_publish: AfterPublish,
        after_commit: Callable[[], None],
    ) -> None:
        """after_commit: wakes the relay."""
        self._database = database
        self._log = log
        self._record = record
        self._publication = publication
        self._published = published
        self._lease = lease
        self._outbox = outbox
        self._after_publish = after_publish
        self._after_commit = after_commit
        self._holds_lease = False

    def holds_lease(self) -> bool:
        """Whether this process had the right to publish at its last turn."""
        return self._holds_lease

    def begin(self, head: Head) -> None:
        """Before the first turn: what is published must be how this log began. Raises PublicationDamaged.

        A database restored from a backup that is older than the publication is refused here: to go on
        with it would be a fork.
        """
        with self._database.write() as transaction:
            # Whatever is in the log before its first publication has been told by nobody, and stays so.
            self._record.begin(transaction, head.size)
        self._published.refresh()
        for shown in (self._published.current, self._published.cosigned):
            if shown is not None:
                self._check(shown, head)

    def turn(self) -> None:
        """Publishes all there is. Raises Unavailable."""
        self._holds_lease = self._lease.held()
        if not self._holds_lease:
            self._published.refresh()
            return
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        assert head is not None
        self._published.refresh()
        before = self._published.size
        if self._published.current is None or before < head.size:
            self._put_tiles(before, head.size)
            self._published.advance(head.checkpoint)
            self._drop_partials(before, head.size)
        self._note()

    def _check(self, shown: Published, head: Head) -> None:
        if shown.size > head.size:
            raise PublicationDamaged(
                f"A log of {shown.size} entries is published, and the database holds {head.size} of them."
            )
        with self._database.read() as transaction:
            if root_at(shown.size, self._log.nodes(transaction)) != shown.checkpoint.root:
                raise PublicationDamaged("What is published is not how the log in the database begins.")

    def _put_tiles(self, from_size: int, to_size: int) -> None:
        remaining = tiles_between(from_size, to_size)
        while tiles := list(islice(remaining, TILES_AT_A_TIME)):
            with self._database.read() as transaction:
                contents = [(tile.path, self._content(transaction, tile)) for tile in tiles]
            self._publication.put(contents)
            # Files and SQLite hold everybody else up: others get their turn between two pieces.
            time.sleep(0)

    def _content(self, transaction: Connection, tile: Tile) -> bytes:
        if tile.level == ENTRIES:
            return bundle(self._log.leaf_bytes(transaction, tile.start, tile.stop))
        return self._log.hashes(transaction, tile.tree_level, tile.start, tile.stop)

    def _drop_partials(self, from_size: int, to_size: int) -> None:
        for tile in tiles_between(from_size, to_size):
            if tile.is_full:
                self._publication.drop(tile.partial_folder)

    def _note(self) -> None:
        published = self._published.current
        assert published is not None
        with self._database.read() as transaction:
            noted = self._record.processed_size(transaction)
        while noted < published.size:
            upto = min(noted + ENTRIES_NOTED_AT_A_TIME, published.size)
            with self._database.write() as transaction:
                # First: who comes second waits here on PostgreSQL, and then writes no receipt.
                if not self._record.advance(transaction, upto, from_size=noted):
                    return
                messages = self._after_publish(transaction, published, noted, upto)
                self._outbox.add(transaction, messages)
            if messages:
                self._after_commit()
            noted = upto
