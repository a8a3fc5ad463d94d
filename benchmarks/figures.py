"""Statistics of timed runs: percentiles, medians over rounds, ratios within a round, the rounds' order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Final

# Draws of an interval, and their seed: the same values give the same interval.
_DRAWS: Final = 2000
_SEED: Final = 1


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that a `share` (0 to 1) of the values does not exceed; NaN without values.

    This is the nearest-rank definition: the result is always a measured value.
    """
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median, minimum and maximum of a figure over the rounds."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of the values. Raises ValueError without values."""
    if not values:
        raise ValueError("no round was measured")
    return Spread(median=median(values), lowest=min(values), highest=max(values))


def ratios(rounds: Sequence[Mapping[str, float]], *, of: str) -> Mapping[str, Spread]:
    """Return the spread of the ratio of `of` to each other contender, taken within each round.

    Values of the same round are compared, so that a temporarily slow machine is slow for both. Rounds
    without one of the two values, or with a zero for the other contender, are ignored.
    """
    others = dict.fromkeys(name for measured in rounds for name in measured if name != of)
    found = {}
    for other in others:
        values = [r[of] / r[other] for r in rounds if of in r and r.get(other)]
        if values:
            found[other] = spread(values)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure of all rounds together, and the interval in which it lies with a probability of 95 %."""

    value: float
    lowest: float
    highest: float


def percentiles_ratio(rounds: Sequence[tuple[Sequence[float], Sequence[float]]], share: float) -> Estimate:
    """Return the percentile of all first values of the rounds, divided by that of all second ones.

    The interval comes from rounds drawn with replacement (percentile bootstrap; Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993): the values of a round depend on each other, the rounds do not.
    Raises ValueError without rounds.
    """
    if not rounds:
        raise ValueError("no round was measured")

    def ratio(drawn: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
        first, second = ([value for one in drawn for value in one[side]] for side in (0, 1))
        return percentile(first, share) / percentile(second, share)

    random = Random(_SEED)  # noqa: S311 - no secret
    ratios_drawn = [ratio(random.choices(rounds, k=len(rounds))) for _ in range(_DRAWS)]
    return Estimate(
        value=ratio(rounds),
        lowest=percentile(ratios_drawn, 0.025),
        highest=percentile(ratios_drawn, 0.975),
    )


def alternated(contenders: Sequence[str], rounds: int) -> list[list[str]]:
    """Return the order of contenders in each round: forwards, then backwards, then starting one later.

    Thus no contender always runs first (cold caches) or always after the same one (its dirty pages).
    """
    if not contenders:
        return [[] for _ in range(rounds)]
    orders = []
    for number in range(rounds):
        start = number // 2 % len(contenders)
        order = [*contenders[start:], *contenders[:start]]
        orders.append(order[::-1] if number % 2 else order)
    return orders
