"""Receipts: inclusion proofs of the most important steps, sent to the parties of the step.

Reasons for these steps, the batching and the direct queue: docs/decisions/0011-receipts.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from contracts import base64_text
from contracts.commitment import SALT_BYTES
from contracts.envelope import Event
from contracts.facts import CaseReleased, OfferAccepted, Receipt, ReceiptsIssued, ReferralCompleted
from contracts.facts.recorded import MOST_RECEIPTS
from contracts.topology import MAILBOXES, RECEIPTS
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from services.audit.log.domain.merkle import Proof, prove_inclusions
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.ports import Log, PartyLeaf

RECEIPTED: Final = (OfferAccepted.type, CaseReleased.type, ReferralCompleted.type)
# The limit on leaves and heads in one message, unless a single one is longer. Both together usually have
# about 650 bytes.
MOST_BYTES: Final = 256 * 1024


class Receipts:
    """Writes the receipts of published entries (a `publisher.AfterPublish`)."""

    def __init__(self, *, log: Log, published: PublishedLog, source: str, clock: Clock) -> None:
        """source: the CloudEvents source of this service."""
        self._log = log
        self._published = published
        self._source = source
        self._clock = clock

    def __call__(
        self, transaction: Connection, published: PublishedCheckpoint, start: int, stop: int, /
    ) -> Sequence[Outgoing]:
        """Return one message per party of such entries in `[start, stop)`, or several to limit their size."""
        found = self._log.party_leaves(transaction, RECEIPTED, start=start, stop=stop)
        proofs = prove_inclusions([leaf.index for leaf in found], published.size, self._published.node)
        by_organization: dict[str, list[PartyLeaf]] = {}
        for leaf in found:
            for organization in leaf.organizations:
                by_organization.setdefault(organization, []).append(leaf)
        return [
            self._message(organization, published, piece, proofs)
            for organization, leaves in by_organization.items()
            for piece in _pieces(leaves)
        ]

    def _message(
        self,
        organization: str,
        published: PublishedCheckpoint,
        leaves: Sequence[PartyLeaf],
        proofs: Mapping[int, Proof],
    ) -> Outgoing:
        positions: dict[bytes, int] = {}  # the position of each hash, in order of first use
        receipts = tuple(
            [
                Receipt(
                    index=leaf.index,
                    leaf=leaf.leaf.decode(),
                    path=tuple(
                        [positions.setdefault(digest, len(positions)) for digest in proofs[leaf.index]]
                    ),
                    head=None if leaf.head is None else leaf.head[SALT_BYTES:].decode(),
                    head_salt=None if leaf.head is None else base64_text.encoded(leaf.head[:SALT_BYTES]),
                )
                for leaf in leaves
            ]
        )
        number = new_id()
        event = Event(
            id=number,
            source=self._source,
            time=self._clock.now(),
            partition_key=organization,
            correlation_id=number,
            causation_id=None,
            data=ReceiptsIssued(
                organization=organization,
                checkpoint=published.note.decode(),
                hashes=tuple([base64_text.encoded(digest) for digest in positions]),
                receipts=receipts,
            ),
        )
        # Not through the events exchange, which the log consumes: otherwise a receipt would need a receipt.
        return replace(outgoing(event), exchange=RECEIPTS, routing_key=MAILBOXES)


def _pieces(leaves: Iterable[PartyLeaf]) -> Iterator[list[PartyLeaf]]:
    piece: list[PartyLeaf] = []
    size = 0
    for leaf in leaves:
        length = len(leaf.leaf) + len(leaf.head or b"")
        if piece and (len(piece) == MOST_RECEIPTS or size + length > MOST_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(leaf)
        size += length
    if piece:
        yield piece
