"""The inputs of a decision about a referral, from the referral and the present state of the network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from services.routing.domain.circumstances import Circumstances
from services.routing.domain.consequences import asked_before, declined_as_full, declined_for_person
from services.routing.domain.directory import Directory
from services.routing.domain.observation import Observation
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral


def circumstances_of(
    referral: Referral,
    *,
    directory: Directory,
    observed: Callable[[str], Observation],
    now: dt.datetime,
    policy: RoutingPolicy,
) -> Circumstances:
    """Return the inputs of the rules. observed: see `Circumstances`."""
    return Circumstances(
        referral_id=referral.id,
        sender=referral.sender,
        facts=referral.facts,
        asked=asked_before(referral),
        directory=directory,
        observed=observed,
        now=now,
        offers_per_sender=policy.offers_per_sender,
        declined_as_full=declined_as_full(referral),
        declined_for_person=declined_for_person(referral),
        chain=referral.chain,
        full_for=policy.counts_as_full(referral.facts.urgency),
        whole_needs=whole_needs(referral),
    )


def whole_needs(referral: Referral) -> tuple[str, ...]:
    """Return the needs of the whole referral, for a part; empty for any other."""
    return () if referral.part is None else referral.part.whole_needs
