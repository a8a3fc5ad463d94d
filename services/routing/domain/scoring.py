"""The score that orders the eligible candidates.

Each contribution is a value from 0 to 1. The score is their weighted mean, also from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from contracts.vocabularies import need_group, sensitive_needs
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.observation import NO_LOAD, UNKNOWN_RESPONSIVENESS, Observation
from services.routing.domain.offered_service import OfferedService, in_microseconds
from services.routing.domain.policy import Weights

# A capacity statement of this age counts half as much as one of today.
FRESHNESS_HALF_LIFE_DAYS = 90.0
# The load at which an organisation without a stated maximum counts as half loaded.
TYPICAL_LOAD = 50.0


class Scoring:
    """The scores of one referral's candidates."""

    def __init__(self, given: Circumstances, weights: Weights, *, is_searched: bool = False) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._now = in_microseconds(given.now)
        self._region = given.facts.region
        self._needs = given.facts.needs
        first = self._needs[0]
        # A service that meets a need without a required approval meets it for its organisation. A referral
        # that names a group may be met by a need that requires one.
        self._is_first_covered = is_searched and first not in sensitive_needs() and first != need_group(first)
        self._wanted = _with_groups(self._needs)
        self._languages = given.facts.languages
        self._weights = (
            weights.needs_covered,
            weights.nearness,
            weights.language,
            weights.responsiveness,
            weights.load,
            weights.freshness,
            weights.cost,
        )
        # One after the other: `sum` rounds differently in later versions of Python.
        total = 0.0
        for weight in self._weights:
            total += weight
        self._total = total

    @property
    def benefit_of_doubt(self) -> float:
        """What full responsiveness would add to the score of an organisation that no offer has judged."""
        if not self._total:
            return 0.0
        return round(self._weights[3] * (1.0 - UNKNOWN_RESPONSIVENESS) / self._total, 6)

    def scored(
        self, offered: OfferedService, seen: Observation, is_near: bool | None = None
    ) -> tuple[Mapping[str, float], float]:
        """Return each contribution by the name of its weight, rounded to six digits, and the score.

        The score is 0 if all weights are 0. seen: what was observed of the organisation.
        is_near: whether the service names the region, None if unknown.
        """
        languages = offered.languages
        needs_covered = self._needs_covered(offered)
        # A service that names the region is nearer than one for the whole country.
        nearness = 1.0 if (self._region in offered.areas if is_near is None else is_near) else 0.5
        if self._languages[0] in languages:
            language = 1.0
        else:
            language = 0.4 if languages.isdisjoint(self._languages) else 0.7
        responsiveness = seen.responsiveness
        load = _load(offered.maximum, seen.services.get(offered.service_id, NO_LOAD).load)
        freshness = _freshness(self._now - offered.updated_us)
        cost = offered.affordability
        values = {
            "needs_covered": needs_covered,
            "nearness": nearness,
            "language": language,
            "responsiveness": responsiveness,
            "load": load,
            "freshness": freshness,
            "cost": cost,
        }
        if not self._total:
            return values, 0.0
        a, b, c, d, e, f, g = self._weights
        weighted = a * needs_covered + b * nearness + c * language + d * responsiveness + e * load
        return values, round((weighted + f * freshness + g * cost) / self._total, 6)

    def _needs_covered(self, offered: OfferedService) -> float:
        if self._is_first_covered and len(self._needs) == 1:
            return 1.0
        return round(offered.organization_needs.count(self._wanted) / len(self._needs), 6)


# Enough for the referrals of the day.
@lru_cache(maxsize=1_024)
def _with_groups(needs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple([(need, need_group(need)) for need in needs])


def weighted_mean(contributions: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the score of these contributions, as `scored` does; both by name."""
    total = weighted = 0.0
    for name, value in contributions.items():
        total += weights[name]
        weighted += weights[name] * value
    return round(weighted / total, 6) if total else 0.0


def _load(maximum: int | None, load: int) -> float:
    if maximum is None:
        return round(TYPICAL_LOAD / (TYPICAL_LOAD + load), 6) if load else 1.0
    if not maximum:
        return 0.0
    return round(max(0.0, 1.0 - load / maximum), 6) if load else 1.0


def _freshness(age: int) -> float:
    """Return the contribution of a capacity statement. age: in microseconds."""
    # The same quotients as of a `timedelta`, which takes longer to make.
    days = age / 1_000_000 / 86400
    return round(0.5 ** (days / FRESHNESS_HALF_LIFE_DAYS), 6) if days > 0 else 1.0
