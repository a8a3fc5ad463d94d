"""Entries that prove an organisation's statement: routing's decisions, and the statements that it issued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.facts import DecisionsRecorded, StatementIssued
from runtime.messaging.inbox import EventIdentity
from runtime.storage.database import Database
from runtime.turn import Turn
from services.audit.log.ports import Log, OpenedLeaf, PublishedCheckpoint, PublishedTree
from services.audit.reports.handlers.history import BundledEntry

_AT_A_TIME: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Proved:
    """The entries, by index, and the checkpoint that their proofs refer to."""

    log_key: str
    published: PublishedCheckpoint
    entries: tuple[BundledEntry, ...]


class ProvedEntries:
    """Reads only. No entry concerns a person, so no read is recorded."""

    def __init__(self, *, database: Database, log: Log, published: PublishedTree, author: str) -> None:
        """author: the source of routing's events."""
        self._database = database
        self._log = log
        self._published = published
        self._author = author

    def of(self, messages: Sequence[str], reader: str | None) -> Proved:
        """Return the published entries of these messages that the reader may open.

        They are those that commit to decisions, which name nobody, and the statements issued to the reader;
        for None those of every organisation. All other messages are left out, as if they did not exist.
        Raises Unavailable before the first checkpoint, and ContentMismatch.
        """
        identities = [EventIdentity(self._author, message) for message in dict.fromkeys(messages)]
        with self._database.read() as transaction:
            known = self._log.known(transaction, identities)
            # Before the checkpoint: a key that is named after it may not have signed it.
            log_key = self._published.verifier_key
            newest = self._published.newest()
            indices = sorted(index for index in known.values() if index < newest.size)
            opened: dict[int, OpenedLeaf] = {}
            turn = Turn()
            # An entry may commit to the hundreds of decisions of one transaction.
            for start in range(0, len(indices), _AT_A_TIME):
                opened |= self._log.opened_at(transaction, indices[start : start + _AT_A_TIME])
                turn.end_if_over()
        leaves = [leaf for index in indices if _may_open(leaf := opened[index], reader)]
        published = (self._published.covering(leaves[-1].index) if leaves else None) or newest
        return Proved(
            log_key=log_key,
            published=published,
            entries=tuple(
                BundledEntry(leaf=leaf, proof=self._published.inclusion(leaf.index, published.size))
                for leaf in leaves
            ),
        )


def _may_open(leaf: OpenedLeaf, reader: str | None) -> bool:
    fields = leaf.fields
    if fields["type"] == DecisionsRecorded.type:
        return True
    return fields["type"] == StatementIssued.type and reader in (None, fields["organization"])
