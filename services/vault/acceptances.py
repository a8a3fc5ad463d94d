"""Acceptances and their ends, which may arrive in the other order: an acceptance that waits is retried."""

from __future__ import annotations

from contracts.envelope import Event
from contracts.errors import Unavailable
from contracts.facts import AcceptanceRevoked, Fact, OfferAccepted, ReferralHandedBack
from services.vault.batch import PATIENCE, BatchProgress
from services.vault.domain.custody import Acceptance, accept, revoke


def accepted(batch: BatchProgress, message: Event[Fact], fact: OfferAccepted) -> None:
    """Record the acceptor, unless the vault has read the end of this acceptance before.

    Raises Unavailable while the fact may be missing that the referral is whole again, and
    IllegalCustodyTransition.
    """
    if fact.offer_id in batch.ended_offers:
        return
    acceptance = Acceptance(
        organization=fact.organization,
        message_id=message.id,
        correlation_id=message.correlation_id,
        traceparent=message.traceparent,
        offer_id=fact.offer_id,
    )
    custody = batch.custodies[fact.referral_id]
    if custody.parts and batch.now - message.time < PATIENCE:
        raise Unavailable("The referral was split; if it is whole again, the vault may not know it yet.")
    batch.custodies[fact.referral_id] = accept(custody, fact.sender, acceptance)


def acceptance_ended(batch: BatchProgress, fact: AcceptanceRevoked | ReferralHandedBack) -> None:
    """Remove the acceptor. If its acceptance waits, that takes no effect later: the end is kept as evidence.

    Raises IllegalCustodyTransition.
    """
    custody = batch.custodies[fact.referral_id]
    batch.custodies[fact.referral_id] = revoke(custody, fact.organization, fact.offer_id)
    batch.ended_offers.add(fact.offer_id)
