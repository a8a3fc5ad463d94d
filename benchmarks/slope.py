"""Least-squares slopes of series, with confidence intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """A slope per unit of the first axis. error: half the width of its 95 % confidence interval."""

    rate: float
    error: float

    @property
    def is_certain(self) -> bool:
        """Return whether 0 lies outside the interval."""
        return abs(self.rate) > self.error


def slope(times: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the slope. Raises ValueError for fewer than three points, and if all are at the same time.

    Neighbouring samples are correlated: memory changes slowly. The error therefore counts independent points,
    not samples. They are fewer by (1 - r) / (1 + r), where r is the correlation of neighbouring residuals
    (the effective sample size of a first-order autoregressive series), and never below three.
    """
    count = len(times)
    if count < 3 or len(values) != count:
        raise ValueError("a slope takes three points or more")
    middle, height = sum(times) / count, sum(values) / count
    spread = sum((time - middle) ** 2 for time in times)
    if spread == 0:
        raise ValueError("all points lie at one time")
    rate = sum((t - middle) * (v - height) for t, v in zip(times, values, strict=True)) / spread
    residuals = [v - height - rate * (t - middle) for t, v in zip(times, values, strict=True)]
    squares = sum(residual**2 for residual in residuals)
    if squares == 0:
        return Slope(rate=rate, error=0.0)
    alike = sum(a * b for a, b in itertools.pairwise(residuals)) / squares
    alike = min(max(alike, 0.0), 0.999)
    independent = max(3.0, count * (1 - alike) / (1 + alike))
    variance = squares / count * independent / max(1.0, independent - 2) / (spread / count * independent)
    return Slope(rate=rate, error=_quantile(independent - 2) * math.sqrt(variance))


def _quantile(freedom: float) -> float:
    """Return Student's t at 97.5 %, accurate to 4 % from 2 degrees of freedom on; 12.7 below 2.

    Source: the Cornish-Fisher expansion, Abramowitz and Stegun 26.7.5.
    """
    if freedom < 2:
        return 12.706
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
