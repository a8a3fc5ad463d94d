"""Statistics of timed runs: percentiles, medians over rounds, ratios within a round, the rounds' order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed; NaN of none.

    The nearest-rank definition: always a value that was measured, never one in between.
    """
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """One figure over the rounds: their median, lowest and highest."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError without a round."""
    if not values:
        raise ValueError("no round was measured")
    return Spread(median=median(values), lowest=min(values), highest=max(values))


def ratios(rounds: Sequence[Mapping[str, float]], *, of: str) -> Mapping[str, Spread]:
    """How many times faster `of` was than each other contender: the ratio of each round, then its spread.

    Neighbours in time are compared, so that a machine that is slow for a while is slow for both. Rounds
    that lack one of the two, or where the other did nothing, say nothing of the pair.
    """
    others = dict.fromkeys(name for measured in rounds for name in measured if name != of)
    found = {}
    for other in others:
        values = [r[of] / r[other] for r in rounds if of in r and r.get(other)]
        if values:
            found[other] = spread(values)
    return found


def alternated(contenders: Sequence[str], rounds: int) -> list[list[str]]:
    """The order of each round: each order is run forwards, then backwards, then begins one later.

    So nobody always runs first (cold caches) or always after the same neighbour (its dirty pages).
    """
    if not contenders:
        return [[] for _ in range(rounds)]
    orders = []
    for number in range(rounds):
        start = number // 2 % len(contenders)
        order = [*contenders[start:], *contenders[:start]]
        orders.append(order[::-1] if number % 2 else order)
    return orders
