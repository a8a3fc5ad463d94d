"""Publishes the log: first the tiles, then the checkpoint that covers them.

The database is the log; the publication is a copy of a prefix. The crash points of a publication, in order:

1. *appended, not yet published*: the entry and its checkpoint are committed. After the restart the first
   turn publishes them.
2. *tiles written, checkpoint not yet swapped*: no checkpoint refers to the new tiles. Writing them again
   gives the same content, which depends only on the path and the log.
3. *swapped, not yet noted*: the checkpoint is public, but its receipts are not sent yet. The processed size
   in the database is behind the checkpoint, and the next turn catches up. Receipts and processed size are
   written in one transaction, so no party gets a receipt twice.

With a cover rate, the log is published at fixed times only (`PublishingTimes`). Each publication ends with
the cover entries of its time; later entries wait for the next one.

A swap may fail and still take effect. Therefore a turn keeps no state about attempts: it begins by reading
the published checkpoint.
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
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.domain.tiles import ENTRIES, Tile, bundle, tiles_between
from services.audit.log.handlers.published_log import PublicationDamaged, PublishedLog
from services.audit.log.ports import Log, LogPublication, PublicationRecord

TILES_AT_A_TIME: Final = 16
ENTRIES_PROCESSED_AT_A_TIME: Final = 2_000


class Lease(Protocol):
    """The lock that allows one process at a time to publish: `runtime.storage.exclusive_lock`."""

    def held(self) -> bool: ...


class PublishingTimes(Protocol):
    """Decides when to publish, and how far: `handlers.cover`."""

    def next_head(self, published: int, /) -> Head | None:
        """Return the head to publish after `published` entries; None as long as nothing is due."""
        ...

    def was_published(self) -> None:
        """Note that this head is public."""
        ...


class AfterPublish(Protocol):
    """Returns the messages to send after the publication of the entries `[start, stop)`."""

    def __call__(
        self, transaction: Connection, published: PublishedCheckpoint, start: int, stop: int, /
    ) -> Sequence[Outgoing]: ...


class LogPublisher:
    """Publishes the log. `turn` is called periodically, never concurrently."""

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
        times: PublishingTimes | None = None,
    ) -> None:
        """after_commit: wakes the relay. times: None publishes everything at each turn."""
        self._database = database
        self._log = log
        self._record = record
        self._publication = publication
        self._published = published
        self._lease = lease
        self._outbox = outbox
        self._after_publish = after_publish
        self._after_commit = after_commit
        self._times = times
        self._holds_lease = False
        # The processed size that was read or written last; it never decreases.
        self._processed = 0

    def holds_lease(self) -> bool:
        """Return whether this process held the publishing lock at its last turn."""
        return self._holds_lease

    def begin(self, head: Head) -> None:
        """Check before the first turn that the published log is a prefix of this one. Raises
        PublicationDamaged.

        This refuses a database restored from a backup older than the publication: continuing would fork the
        log.
        """
        with self._database.write() as transaction:
            # Entries from before the first publication never get receipts.
            self._record.begin(transaction, head.size)
        self._published.refresh()
        for published in (self._published.current, self._published.cosigned):
            if published is not None:
                self._check(published, head)

    def turn(self) -> bool:
        """Publish the committed entries that are due. Raises Unavailable.

        Return whether the next turn may have something to publish without a commit, because of its time.
        """
        self._holds_lease = self._lease.held()
        if not self._holds_lease:
            self._published.refresh()
            return True
        self._published.refresh()
        if self._published.current is None or self._times is None:
            self._publish(self._head())
        elif (due := self._times.next_head(self._published.size)) is not None:
            self._publish(due)
            self._times.was_published()
        self._process_published()
        return self._times is not None

    def _head(self) -> Head:
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        assert head is not None
        return head

    def _publish(self, head: Head) -> None:
        before = self._published.size
        if self._published.current is not None and head.size <= before:
            return
        self._put_tiles(before, head.size)
        self._published.advance(head.checkpoint)
        self._drop_partials(before, head.size)

    def _check(self, published: PublishedCheckpoint, head: Head) -> None:
        if published.size > head.size:
            raise PublicationDamaged(
                f"The published log has {published.size} entries, but the database has only {head.size}."
            )
        with self._database.read() as transaction:
            if root_at(published.size, self._log.nodes(transaction)) != published.checkpoint.root:
                raise PublicationDamaged("The published log is not a prefix of the log in the database.")

    def _put_tiles(self, from_size: int, to_size: int) -> None:
        remaining = tiles_between(from_size, to_size)
        while tiles := list(islice(remaining, TILES_AT_A_TIME)):
            with self._database.read() as transaction:
                contents = [(tile.path, self._content(transaction, tile)) for tile in tiles]
            self._publication.put(contents)
            # File and SQLite access blocks other greenlets: let them run between two pieces.
            time.sleep(0)

    def _content(self, transaction: Connection, tile: Tile) -> bytes:
        if tile.level == ENTRIES:
            return bundle(self._log.leaf_bytes(transaction, tile.start, tile.stop))
        return self._log.hashes(transaction, tile.tree_level, tile.start, tile.stop)

    def _drop_partials(self, from_size: int, to_size: int) -> None:
        for tile in tiles_between(from_size, to_size):
            if tile.is_full:
                self._publication.drop(tile.partial_folder)

    def _process_published(self) -> None:
        published = self._published.current
        assert published is not None
        if self._processed >= published.size:
            return
        with self._database.read() as transaction:
            processed = self._record.processed_size(transaction)
        while processed < published.size:
            upto = min(processed + ENTRIES_PROCESSED_AT_A_TIME, published.size)
            with self._database.write() as transaction:
                # First: on PostgreSQL a concurrent process waits here and then writes no receipts.
                if not self._record.advance(transaction, upto, from_size=processed):
                    return
                messages = self._after_publish(transaction, published, processed, upto)
                self._outbox.add(transaction, messages)
            if messages:
                self._after_commit()
            processed = upto
        self._processed = processed
