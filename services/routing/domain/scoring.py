"""The score that orders the eligible candidates.

Each contribution is a value from 0 to 1. The score is their weighted mean, also from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from contracts.codes import Funding
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


def contributions(offered: OfferedService, given: Circumstances) -> Mapping[str, float]:
    """Return each contribution, from 0 to 1, by the name of its weight."""
    values = {
        "needs_covered": _needs_covered(offered, given),
        "nearness": _nearness(offered, given),
        "language": _language(offered, given),
        "responsiveness": _responsiveness(offered, given),
        "load": _load(offered, given),
        "freshness": _freshness(offered, given),
        "cost": _COST[offered.service.cost],
    }
    return {name: round(value, 6) for name, value in values.items()}


def score(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the weighted mean of the contributions; 0 if all weights are 0."""
    total = weighted = 0.0
    for name, weight in weights.items():
        total += weight
        weighted += weight * values[name]
    return round(weighted / total, 6) if total else 0.0


def _needs_covered(offered: OfferedService, given: Circumstances) -> float:
    needs = given.facts.needs
    return sum(map(offered.organization_needs.cover, needs)) / len(needs)


def _nearness(offered: OfferedService, given: Circumstances) -> float:
    # A service that names the region is nearer than one for the whole country.
    return 1.0 if given.facts.region in offered.areas else 0.5


def _language(offered: OfferedService, given: Circumstances) -> float:
    wanted = given.facts.languages
    if wanted[0] in offered.languages:
        return 1.0
    return 0.4 if offered.languages.isdisjoint(wanted) else 0.7


def _responsiveness(offered: OfferedService, given: Circumstances) -> float:
    seen = given.observed(offered.organization.id)
    asked = seen.answered + seen.expired
    if not asked:
        return UNKNOWN_RESPONSIVENESS
    # Half of the value is for answering at all, half for the speed of answers that held.
    held = seen.answered - seen.returned
    mean = seen.answer_seconds / held if held else math.inf
    prompt = 1.0 if mean <= PROMPT_SECONDS else PROMPT_SECONDS / mean
    return 0.5 * (seen.answered + held * prompt) / asked


def _load(offered: OfferedService, given: Circumstances) -> float:
    load = given.observed(offered.organization.id).at(offered.service.id).load
    maximum = offered.capacity.maximum
    if maximum is None:
        return TYPICAL_LOAD / (TYPICAL_LOAD + load)
    return max(0.0, 1.0 - load / maximum) if maximum else 0.0


def _freshness(offered: OfferedService, given: Circumstances) -> float:
    age = (given.now - offered.capacity.updated_at).total_seconds() / 86400
    return float(0.5 ** (max(0.0, age) / FRESHNESS_HALF_LIFE_DAYS))
