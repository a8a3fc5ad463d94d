"""The sequencer: gives every event its index in the log and signs the new head in the same transaction.

The crash points of an entry, in order:

1. *received*: nothing is written; the broker delivers the event again.
2. *staged*: head, entries and nodes are written in an open transaction. It is rolled back; the event
   is delivered again and may get another index. The checkpoint signed meanwhile is not public, because
   only committed checkpoints are served: no fork.
3. *committed*: entry, checkpoint and the author's receipt (`author_receipts`) are committed together. The
   event is delivered again, and the log recognises its source and id. The log is append-only, so it needs no
   inbox.
4. *acknowledged*: the entry is under a checkpoint, and the broker may delete the event.

A second process on the same database loses the compare-and-swap of the head before it has written an
entry, and retries from the new head. Two processes are slower than one, but cause neither fork nor gap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection

from contracts.canonical import canonical_json
from contracts.commitment import SALT_BYTES
from contracts.envelope import Envelope
from contracts.errors import Defect, Unavailable
from runtime.messaging.inbox import EventIdentity
from runtime.messaging.ports import Outgoing
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.entry import (
    COVER,
    entry_of_message,
    head_json,
    organizations_of,
)
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.head import CheckpointKeys, Head
from services.audit.log.domain.leaf import (
    TAG_BYTES,
    data_commitment,
    key_commitment,
    leaf_bytes,
    minute_in,
    minute_of,
    referral_key,
)
from services.audit.log.domain.merkle import leaf_hash
from services.audit.log.domain.opening import ContentMismatch
from services.audit.log.domain.repeated import is_entry_of
from services.audit.log.domain.retention import closing_of
from services.audit.log.handlers.author_receipts import receipts_for
from services.audit.log.ports import Closures, DueReceipts, Log, NewEntry

# The salts of data and head, and the tag of an entry without a referral.
_RANDOM_BYTES: Final = 2 * SALT_BYTES + TAG_BYTES


# The keys of referrals that are kept in memory.
_KEYS: Final = 4_096
# The longest time for which leaves may name a minute before the present one.
_LATE: Final = dt.timedelta(minutes=2)


class Sequencer:
    """Appends batches (a `runtime.messaging.batches.BatchHandler`)."""

    def __init__(
        self,
        log: Log,
        key: CheckpointKeys,
        entropy: Callable[[int], bytes],
        closures: Closures,
        receipts: DueReceipts,
        *,
        covered: bool = False,
    ) -> None:
        """entropy: returns that many cryptographically random bytes (`os.urandom`). covered: whether there is
        a cover rate (`_minute`).
        """
        self._log = log
        self._key = key
        self._entropy = entropy
        self._closures = closures
        self._receipts = receipts
        self._covered = covered
        # A referral's entries follow each other within days, most of them within seconds.
        self._keys = lru_cache(maxsize=_KEYS)(_key_of)

    def append(
        self, transaction: Connection, messages: Sequence[Envelope], now: dt.datetime
    ) -> Sequence[Outgoing]:
        """Append the events that are not in the log yet, in the given order. Sends no messages.

        Raises Unavailable when another process has extended the log meanwhile, and EntryError for an event
        that cannot become an entry. The caller must then roll back the whole batch.
        """
        head = self._log.head(transaction)
        if head is None:
            raise Defect("The log is not initialized.")
        unknown = self._unknown(transaction, messages)
        if unknown:
            head = self._extend(transaction, head, unknown, now)
        logged = unknown
        if len(unknown) < len(messages):
            logged = unknown + self._repeated(transaction, messages, unknown)
        self._receipts.note(transaction, receipts_for(logged, head.size))
        return ()

    def _extend(
        self, transaction: Connection, head: Head, unknown: Sequence[Envelope], now: dt.datetime
    ) -> Head:
        minute = self._minute(transaction, head.size, now)
        entries, chronology = self._entries(head, unknown, self._log.tag_secret(transaction), minute)
        frontier, rows = head.frontier.grow([leaf_hash(new.leaf) for new in entries])
        grown = self._key.sign(frontier, chronology, now)
        # Before the entries: a process that loses here has written nothing that could violate a key.
        if not self._log.advance(transaction, grown, from_size=head.size):
            raise Unavailable("Another process has extended the log.")
        self._log.add(transaction, entries, rows)
        self._close(transaction, entries, unknown)
        return grown

    def _minute(self, transaction: Connection, size: int, now: dt.datetime) -> str:
        """Return the minute that the next leaves name.

        With a cover rate a publication ends with cover, which is appended last. If the cover named a later
        minute than the other leaves, everybody could count those. So all leaves of a publication name the
        minute of the publication before it: the time of the cover that ended it.
        """
        minute = minute_of(now)
        before = self._log.leaves(transaction, max(size - 1, 0), size) if self._covered else []
        if not before:
            return minute
        leaf = before[0]
        named = minute_of(leaf.time) if leaf.type == COVER else minute_in(leaf.leaf)
        # A publication follows the one before it within half a minute, unless it is late.
        return named if named is not None and minute_of(now - _LATE) <= named <= minute else minute

    def _repeated(
        self, transaction: Connection, messages: Sequence[Envelope], new: Sequence[Envelope]
    ) -> list[Envelope]:
        """Return the events that were in the log already, without those that differ from their entry.

        An author whose receipt was lost sends the event again. It gets no receipt for an event whose id
        another event has taken.
        """
        appended = {id(message) for message in new}
        again = [message for message in messages if id(message) not in appended]
        indices = self._log.known(
            transaction, [EventIdentity(message.source, message.id) for message in again]
        )
        try:
            leaves = self._log.opened_at(transaction, list(indices.values()))
        except ContentMismatch:
            return []  # the log noted the damage, and a later repetition gets the receipt
        return [
            message
            for message in again
            if (leaf := leaves.get(indices[EventIdentity(message.source, message.id)])) is not None
            and is_entry_of(message, leaf=leaf.leaf, head=leaf.head, salt=leaf.salt)
        ]

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
        identities = [EventIdentity(message.source, message.id) for message in messages]
        known = set(self._log.known(transaction, identities))
        unknown = []
        for identity, message in zip(identities, messages, strict=True):
            if identity not in known:
                known.add(identity)  # a batch may contain it twice
                unknown.append(message)
        return unknown

    def _entries(
        self, head: Head, messages: Sequence[Envelope], secret: bytes, minute: str
    ) -> tuple[list[NewEntry], Chronology]:
        random = self._entropy(_RANDOM_BYTES * len(messages))
        chronology = head.chronology
        entries = []
        for n, message in enumerate(messages):
            chronology = chronology.after(message.time)
            own = random[_RANDOM_BYTES * n : _RANDOM_BYTES * (n + 1)]
            salt = own[:SALT_BYTES]
            content = canonical_json(message.data)
            entry = entry_of_message(message)
            key, committed_key = None, None
            if entry.referral_id is not None:
                key, committed_key = self._keys(secret, entry.referral_id)
            said = own[SALT_BYTES : 2 * SALT_BYTES] + head_json(entry, committed_key)
            entries.append(
                NewEntry(
                    index=head.size + n,
                    entry=entry,
                    leaf=leaf_bytes(
                        head=said,
                        data_commitment=data_commitment(content, salt),
                        minute=minute,
                        key=key,
                        filler=own[2 * SALT_BYTES :],
                    ),
                    head=said,
                    latest=chronology.latest or message.time,
                    organizations=organizations_of(message.data),
                    facets=facets_of(message.type, message.source, message.data),
                    salt=salt,
                    content=content,
                )
            )
        return entries, chronology


def _key_of(secret: bytes, referral_id: str) -> tuple[bytes, str]:
    """Return the key of a referral and the commitment to it."""
    key = referral_key(secret, referral_id)
    return key, key_commitment(key)
