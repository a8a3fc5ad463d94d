"""Receipts: the parties of the steps that matter most are sent the proof that the step is in the log.

Why these steps, and why straight to delivery: docs/decisions/0011-receipts.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.facts import CaseReleased, OfferAccepted, ReceiptIssued, ReferralCompleted
from contracts.topology import DIRECT
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox import outgoing
from runtime.messaging.ports import Outgoing
from services.audit.domain.merkle import prove_inclusion
from services.audit.domain.tlog_proof import tlog_proof
from services.audit.handlers.published_log import Published, PublishedLog
from services.audit.ports import Log, ToldLeaf

RECEIPTED: Final = (OfferAccepted.type, CaseReleased.type, ReferralCompleted.type)
_MAILBOXES: Final = "delivery.events"


class Receipts:
    """Writes the receipts for what has been published (a `publisher.Sequel`)."""

    def __init__(self, *, log: Log, published: PublishedLog, source: str, clock: Clock) -> None:
        """source: the CloudEvents source of this service."""
        self._log = log
        self._published = published
        self._source = source
        self._clock = clock

    def __call__(
        self, transaction: Connection, published: Published, start: int, stop: int, /
    ) -> Sequence[Outgoing]:
        """One message for each party of each such entry of `[start, stop)`."""
        leaves = self._log.told_leaves(transaction, RECEIPTED, start=start, stop=stop)
        return [
            self._message(leaf, organization, published)
            for leaf in leaves
            for organization in leaf.organizations
        ]

    def _message(self, leaf: ToldLeaf, organization: str, published: Published) -> Outgoing:
        hashes = prove_inclusion(leaf.index, published.size, self._published.node)
        event = Event(
            id=new_id(),
            source=self._source,
            time=self._clock.now(),
            partition_key=leaf.referral_id,
            correlation_id=leaf.message_id,
            causation_id=leaf.message_id,
            data=ReceiptIssued(
                referral_id=leaf.referral_id,
                organization=organization,
                message_id=leaf.message_id,
                message_type=leaf.type,
                leaf=leaf.leaf.decode(),
                proof=tlog_proof(leaf.index, hashes, published.note),
            ),
        )
        # Not by the exchange, from which the log takes everything: a receipt would need a receipt.
        return replace(outgoing(event), exchange=DIRECT, routing_key=_MAILBOXES)
