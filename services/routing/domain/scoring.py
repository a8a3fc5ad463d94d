"""The score: among those who may be asked, who should be asked first.

Each consideration gives a value from 0 to 1; the score is their weighted mean, so it lies in 0 to 1 too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from contracts.codes import Funding
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.rules import Circumstances

# A capacity that was stated this many days ago is worth half of one stated today.
FRESHNESS_HALF_LIFE_DAYS = 90.0
# An organisation that was never asked is neither trusted nor distrusted.
UNKNOWN_RESPONSIVENESS = 0.5
# Answering within this many seconds is as good as it gets.
PROMPT_SECONDS = 3600.0
# Held referrals at which an organisation without a stated maximum counts as half loaded.
TYPICAL_LOAD = 50.0


_COST = {Funding.free: 1.0, Funding.at_cost: 0.5, Funding.commercial: 0.0}


def contributions(offered: OfferedService, given: Circumstances) -> Mapping[str, float]:
    """The value of each consideration, by the name of its weight."""
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
    """The weighted mean of the contributions; 0 where nothing has a weight."""
    total = weighted = 0.0
    for name, weight in weights.items():
        total += weight
        weighted += weight * values[name]
    return round(weighted / total, 6) if total else 0.0


def _needs_covered(offered: OfferedService, given: Circumstances) -> float:
    needs = given.facts.needs
    return sum(map(offered.organization_needs.cover, needs)) / len(needs)


def _nearness(offered: OfferedService, given: Circumstances) -> float:
    # Who names the very region is nearer than who serves the whole country.
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
    mean = seen.answer_seconds / seen.answered if seen.answered else math.inf
    prompt = 1.0 if mean <= PROMPT_SECONDS else PROMPT_SECONDS / mean
    return seen.answered / asked * (0.5 + 0.5 * prompt)


def _load(offered: OfferedService, given: Circumstances) -> float:
    # What is kept in memory may for a moment have seen an end and not yet its beginning.
    load = given.observed(offered.organization.id).load
    maximum = offered.service.capacity.maximum
    if maximum is None:
        return TYPICAL_LOAD / (TYPICAL_LOAD + load)
    return max(0.0, 1.0 - load / maximum) if maximum else 0.0


def _freshness(offered: OfferedService, given: Circumstances) -> float:
    age = (given.now - offered.service.capacity.updated_at).total_seconds() / 86400
    return float(0.5 ** (max(0.0, age) / FRESHNESS_HALF_LIFE_DAYS))
