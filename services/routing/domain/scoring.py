"""The score that orders the eligible candidates.

Each contribution is a value from 0 to 1. The score is their weighted mean, also from 0 to 1.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from contracts.codes import Funding
from services.routing.domain.observation import Observation
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.rules import Circumstances

# A capacity statement of this age counts half as much as one of today.
FRESHNESS_HALF_LIFE_DAYS = 90.0
# The neutral value for an organisation that has never been asked.
UNKNOWN_RESPONSIVENESS = 0.5
# A mean answer time up to this gets the full value.
PROMPT_SECONDS = 3600.0
# The load at which an organisation without a stated maximum counts as half loaded.
TYPICAL_LOAD = 50.0


_COST = {Funding.free: 1.0, Funding.at_cost: 0.5, Funding.commercial: 0.0}


def contributions(offered: OfferedService, given: Circumstances, seen: Observation) -> Mapping[str, float]:
    """Return each contribution, from 0 to 1, by the name of its weight, rounded to six digits.

    seen: what was observed of the organisation.
    """
    facts, service = given.facts, offered.service.id
    load = seen.services[service].load if service in seen.services else 0
    return {
        "needs_covered": _needs_covered(offered, facts.needs),
        # A service that names the region is nearer than one for the whole country.
        "nearness": 1.0 if facts.region in offered.areas else 0.5,
        "language": _language(offered, facts.languages),
        "responsiveness": _responsiveness(seen),
        "load": _load(offered.capacity.maximum, load),
        "freshness": _freshness(offered, given.now),
        "cost": _COST[offered.service.cost],
    }


def score(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the weighted mean of the contributions; 0 if all weights are 0."""
    total = weighted = 0.0
    for name, weight in weights.items():
        total += weight
        weighted += weight * values[name]
    return round(weighted / total, 6) if total else 0.0


def _needs_covered(offered: OfferedService, needs: Sequence[str]) -> float:
    if len(needs) == 1:
        return 1.0 if offered.organization_needs.cover(needs[0]) else 0.0
    return round(sum(map(offered.organization_needs.cover, needs)) / len(needs), 6)


def _language(offered: OfferedService, wanted: Sequence[str]) -> float:
    if wanted[0] in offered.languages:
        return 1.0
    return 0.4 if offered.languages.isdisjoint(wanted) else 0.7


def _responsiveness(seen: Observation) -> float:
    asked = seen.answered + seen.expired
    if not asked:
        return UNKNOWN_RESPONSIVENESS
    # Half of the value is for answering at all, half for the speed of answers that held.
    held = seen.answered - seen.returned
    mean = seen.answer_seconds / held if held else math.inf
    prompt = 1.0 if mean <= PROMPT_SECONDS else PROMPT_SECONDS / mean
    return round(0.5 * (seen.answered + held * prompt) / asked, 6)


def _load(maximum: int | None, load: int) -> float:
    if maximum is None:
        return round(TYPICAL_LOAD / (TYPICAL_LOAD + load), 6) if load else 1.0
    if not maximum:
        return 0.0
    return round(max(0.0, 1.0 - load / maximum), 6) if load else 1.0


def _freshness(offered: OfferedService, now: dt.datetime) -> float:
    days = (now - offered.capacity.updated_at).total_seconds() / 86400
    return round(0.5 ** (days / FRESHNESS_HALF_LIFE_DAYS), 6) if days > 0 else 1.0
