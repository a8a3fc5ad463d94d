"""The steps of a referral as its parties read them: one entry a fact, told without the envelope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from contracts.facts import CATALOGUE, Fact, ReferralSubmitted

# What the entry's own fields say already, and what an entry need not repeat. A note is free text of an
# earlier build: it is not copied any further.
_LEFT_OUT = frozenset({"referral_id", "organization", "sender", "facts", "opened_at", "decision_id", "note"})
# Fact type -> the fields that an entry tells.
_TOLD = {
    name: tuple(item.name for item in fields(kind) if item.name not in _LEFT_OUT)  # type: ignore[arg-type]
    for name, kind in CATALOGUE.items()
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEntry:
    """One step of a referral. organization: whom it concerns besides the sender."""

    referral_id: str
    time: dt.datetime
    fact: str
    organization: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)


def entry_of(fact: Fact, referral_id: str, time: dt.datetime) -> TimelineEntry:
    """The timeline's entry for a fact."""
    organization = fact.sender if isinstance(fact, ReferralSubmitted) else getattr(fact, "organization", None)
    return TimelineEntry(
        referral_id=referral_id,
        time=time,
        fact=fact.routing_key,
        organization=organization,
        detail={name: value for name in _TOLD[fact.type] if (value := getattr(fact, name)) is not None},
    )
