"""The one sequencer: gives every event its place in the log, and signs for it in the same transaction.

The crash points of an entry, in order:

1. *received*: nothing is written; the broker delivers the event again.
2. *staged*: head, entries and nodes are written in an open transaction. It is rolled back; the event
   comes again and may get another index. The checkpoint that was signed meanwhile has been seen by
   nobody, for checkpoints are served from what is committed: no fork.
3. *committed*: entry and checkpoint are there together. The event is delivered again, and the log
   knows it: it needs no inbox, for it never forgets.
4. *acknowledged*: therefore in a checkpoint. The broker may forget it.

A second process on the same database loses the compare-and-swap of the head before it has written an
entry, and tries again from the new head: two processes are slower than one, but never a fork or a gap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from contracts.canonical import canonical_json
from contracts.envelope import Envelope
from contracts.errors import Defect, Unavailable
from runtime.messaging.ports import Outgoing
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.entry import (
    SALT_BYTES,
    commitment_to,
    entry_of,
    leaf_bytes,
    organizations_of,
)
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.head import Head, LogKey
from services.audit.log.domain.merkle import leaf_hash
from services.audit.log.domain.retention import closing_of
from services.audit.log.ports import Closures, Log, NewEntry


class Sequencer:
    """Appends batches (a `runtime.messaging.batches.BatchHandler`)."""

    def __init__(self, log: Log, key: LogKey, entropy: Callable[[int], bytes], closures: Closures) -> None:
        """entropy: so many random bytes, fit for secrets (`os.urandom`)."""
        self._log = log
        self._key = key
        self._entropy = entropy
        self._closures = closures

    def append(
        self, transaction: Connection, messages: Sequence[Envelope], now: dt.datetime
    ) -> Sequence[Outgoing]:
        """Appends the events that are not in the log yet, in the order given. Causes no messages.

        Raises Unavailable when another process has extended the log meanwhile, EntryError for an event
        that can have no entry: nothing of the batch is then to be kept.
        """
        head = self._log.head(transaction)
        if head is None:
            raise Defect("The log has not been founded.")
        unknown = self._unknown(transaction, messages)
        if not unknown:
            return ()
        entries, chronology = self._entries(head, unknown)
        frontier, rows = head.frontier.grow([leaf_hash(new.leaf) for new in entries])
        grown = self._key.sign(frontier, chronology, now)
        # Before the entries: who loses here has written nothing that could meet a unique index.
        if not self._log.advance(transaction, grown, from_size=head.size):
            raise Unavailable("Another process has extended the log.")
        self._log.add(transaction, entries, rows)
        self._close(transaction, entries, unknown)
        return ()

    def _close(
        self, transaction: Connection, entries: Sequence[NewEntry], messages: Sequence[Envelope]
    ) -> None:
        closings = [
            closing_of(message.type, new.entry.referral_id, message.time, message.data)
            for new, message in zip(entries, messages, strict=True)
        ]
        referral_ids = {new.entry.referral_id for new in entries if new.entry.referral_id is not None}
        self._closures.note(transaction, [closing for closing in closings if closing], referral_ids)

    def _unknown(self, transaction: Connection, messages: Sequence[Envelope]) -> list[Envelope]:
        known = self._log.known(transaction, [message.id for message in messages])
        unknown = []
        for message in messages:
            if message.id not in known:
                known.add(message.id)  # it may stand twice in one batch
                unknown.append(message)
        return unknown

    def _entries(self, head: Head, messages: Sequence[Envelope]) -> tuple[list[NewEntry], Chronology]:
        salts = self._entropy(SALT_BYTES * len(messages))
        chronology = head.chronology
        entries = []
        for n, message in enumerate(messages):
            chronology = chronology.after(message.time)
            salt = salts[SALT_BYTES * n : SALT_BYTES * (n + 1)]
            content = canonical_json(message.data)
            entry = entry_of(
                message_id=message.id,
                type=message.type,
                time=message.time,
                source=message.source,
                partition_key=message.partition_key,
                data=message.data,
                committed=commitment_to(content, salt),
            )
            entries.append(
                NewEntry(
                    index=head.size + n,
                    entry=entry,
                    leaf=leaf_bytes(entry),
                    latest=chronology.latest or message.time,
                    organizations=organizations_of(message.data),
                    facets=facets_of(message.type, message.source, message.data),
                    salt=salt,
                    content=content,
                )
            )
        return entries, chronology
