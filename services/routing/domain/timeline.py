"""A referral's timeline: one entry for each fact, without the envelope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from contracts.facts import CATALOGUE, Fact, ReferralAcceptorSuspended, ReferralSubmitted
from contracts.quick_init import quick_init

# Fields that the entry holds elsewhere or need not repeat. `note` is free text from earlier builds and is
# not copied.
_EXCLUDED = frozenset({"referral_id", "organization", "sender", "facts", "opened_at", "decision_id", "note"})
# Fact type -> further such fields. The suspended acceptor reads its own steps, but perhaps not the facts.
_EXCLUDED_OF = {ReferralAcceptorSuspended.type: frozenset({"urgency", "region", "needs"})}
# Fact type -> the fields that an entry includes.
_INCLUDED = {
    name: tuple(
        item.name
        for item in fields(kind)  # type: ignore[arg-type]
        if item.name not in _EXCLUDED | _EXCLUDED_OF.get(name, frozenset())
    )
    for name, kind in CATALOGUE.items()
}


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEntry:
    """One step of a referral. organization: the party concerned besides the sender."""

    referral_id: str
    time: dt.datetime
    fact: str
    organization: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)


def entry_of(fact: Fact, referral_id: str, time: dt.datetime) -> TimelineEntry:
    """Return the timeline entry for a fact."""
    organization = fact.sender if isinstance(fact, ReferralSubmitted) else getattr(fact, "organization", None)
    return TimelineEntry(
        referral_id=referral_id,
        time=time,
        fact=fact.routing_key,
        organization=organization,
        detail={name: value for name in _INCLUDED[fact.type] if (value := getattr(fact, name)) is not None},
    )
