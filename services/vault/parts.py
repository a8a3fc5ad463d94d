"""Referrals that were split: the custodies of their parts, which follow that of the whole."""

from __future__ import annotations

from contracts.facts import Fact, ReferralRejoined, ReferralSplit
from services.vault.batch import BatchProgress
from services.vault.domain.custody import become_part, follow, leave_whole, rejoin, split


def parts_in(fact: Fact) -> tuple[str, ...]:
    """Return the ids of the parts that a split begins, or that end; empty for any other fact."""
    return fact.parts if isinstance(fact, ReferralSplit | ReferralRejoined) else ()


def split_referral(batch: BatchProgress, fact: ReferralSplit) -> None:
    """Begin the parts of a referral. Raises IllegalCustodyTransition, and changes nothing then."""
    whole = split(batch.custodies[fact.referral_id], fact.sender, fact.parts)
    begun = {id_: become_part(batch.custodies[id_], whole) for id_ in fact.parts}
    batch.custodies |= {whole.referral_id: whole, **begun}


def rejoin_referral(batch: BatchProgress, fact: ReferralRejoined) -> None:
    """End the parts of a referral. Raises IllegalCustodyTransition, and changes nothing then."""
    whole = rejoin(batch.custodies[fact.referral_id], fact.parts)
    ended = {id_: leave_whole(batch.custodies[id_]) for id_ in fact.parts}
    batch.custodies |= {whole.referral_id: whole, **ended}


def let_parts_follow(batch: BatchProgress, referral_id: str) -> None:
    """Change the parts of a referral, if it has any, as its own custody has changed."""
    whole = batch.custodies[referral_id]
    for id_ in whole.part_ids:
        batch.custodies[id_] = follow(batch.custodies[id_], whole)
