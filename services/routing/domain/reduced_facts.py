"""The coarse facts that are kept of a referral that ended long ago, for counting."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from contracts.codes import AgeBand, ConsentMethod, Settlement, Sex, Stage
from contracts.records import read
from contracts.referral import Consent, ReferralFacts
from contracts.vocabularies import need_group

# The members of a timeline entry's detail that say something about the person, or may quote such facts.
DROPPED_DETAILS: Final = frozenset({"urgency", "region", "needs", "problem", "overridden"})

# The remaining members of ReferralFacts, which has no unknown value for all of them. They are never shown.
_PLACEHOLDERS: Final[Mapping[str, Any]] = {
    "settlement": Settlement.urban,
    "languages": ("en",),
    "stage": Stage.in_destination,
    "origin_country": "ZZ",
    "age_band": AgeBand.unknown,
    "sex": Sex.unknown,
    "consent": Consent(
        given=True, given_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC), method=next(iter(ConsentMethod))
    ),
}


def reduced(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups of the needs, the urgency, and the country of the region. facts: as stored."""
    return {
        "needs": sorted({need_group(need) for need in facts["needs"]}),
        "urgency": facts["urgency"],
        "region": facts["region"][:2],
    }


def is_reduced(facts: Mapping[str, Any]) -> bool:
    """Return whether the stored facts have been reduced."""
    return "consent" not in facts


def facts_of(stored: Mapping[str, Any]) -> ReferralFacts:
    """Return stored facts; those that have been reduced with placeholders for what is gone."""
    if not is_reduced(stored):
        return read(ReferralFacts, stored)
    return ReferralFacts(
        needs=tuple(stored["needs"]),
        urgency=stored["urgency"],
        region=stored["region"],
        **_PLACEHOLDERS,
    )
