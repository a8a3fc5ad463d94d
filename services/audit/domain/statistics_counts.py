"""Counts of referrals by what their submissions state and what became of them. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from services.audit.domain.statistics_suppression import THRESHOLD, Finest, Key, TooDetailed, keys_of, shown

SITUATION: Final = ("sex", "age_band", "origin", "region", "need", "stage", "urgency")
DIMENSIONS: Final = (*SITUATION, "outcome", "organization_kind")
# A cross-table's sums are protected together with its cells; a third dimension would link such tables.
MOST_DIMENSIONS: Final = 2
# Protecting a thin table compares each small figure with all others: some two seconds for this many, and
# milliseconds for each.
MOST_CELLS: Final = 600

# The value of every dimension of a referral whose content has been erased: it still counts.
ERASED: Final = "erased"
OPEN: Final = "open"
NOBODY: Final = "none"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Referral:
    """One referral. situation: values by dimension, several needs; entries: the log's, that all this is from.

    outcome: a code, `withdrawn`, `failed` or `open`; organization_kind: the acceptor's. answered: from the
    submission to the first answer of an organisation that was asked.
    """

    referral_id: str
    situation: Mapping[str, Sequence[str]]
    outcome: str
    organization_kind: str
    answered: dt.timedelta | None
    entries: tuple[int, ...]

    def values(self, dimension: str) -> tuple[str, ...]:
        """What the referral has in a dimension: one value, or each of its needs once."""
        if dimension == "outcome":
            return (self.outcome,)
        if dimension == "organization_kind":
            return (self.organization_kind,)
        return tuple(dict.fromkeys(self.situation.get(dimension, ()))) or (UNKNOWN,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """values: by dimension, where it is no sum. median, ninetieth: seconds, where 5 or more were answered."""

    values: Mapping[str, str]
    count: int
    median: int | None
    ninetieth: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """referrals: how many were counted. unit: `referral`, or `need` in a table by need: a referral with two
    needs counts twice there.

    withheld: whether figures were left out because they, or others with their help, are under 5.
    """

    by: tuple[str, ...]
    referrals: int
    unit: str
    figures: tuple[Figure, ...]
    withheld: bool


def statistics_of(
    referrals: Iterable[Referral], by: Sequence[str], *, pause: Callable[[], None] = lambda: None
) -> Statistics:
    """The table by these dimensions, with its sums. pause: see `shown`. Raises TooDetailed."""
    count = 0
    finest: Counter[Finest] = Counter()
    persons: Counter[Key] = Counter()
    answers: dict[Key, list[float]] = defaultdict(list)
    for referral in referrals:
        count += 1
        cells = list(product(*(referral.values(dimension) for dimension in by)))
        finest.update(cells)
        keys = {key for cell in cells for key in keys_of(cell)}
        persons.update(keys)
        if referral.answered is not None:
            for key in keys:
                answers[key].append(referral.answered.total_seconds())
    if math.prod(len({cell[at] for cell in finest}) for at in range(len(by))) > MOST_CELLS:
        raise TooDetailed("the table has too many cells")
    visible = shown(finest, persons=persons, pause=pause)
    return Statistics(
        by=tuple(by),
        referrals=count,
        unit="need" if "need" in by else "referral",
        figures=tuple(
            _figure(by, key, visible[key], sorted(answers[key])) for key in sorted(visible, key=_order)
        ),
        withheld=any(key not in visible for key in persons),
    )


def matches(referral: Referral, values: Mapping[str, str]) -> bool:
    """Whether the referral counts in the figure with these values."""
    return all(value in referral.values(dimension) for dimension, value in values.items())


def _figure(by: Sequence[str], key: Key, count: int, answers: Sequence[float]) -> Figure:
    values = {dimension: value for dimension, value in zip(by, key, strict=True) if value is not None}
    enough = len(answers) >= THRESHOLD
    return Figure(
        values=values,
        count=count,
        median=_percentile(answers, 50) if enough else None,
        ninetieth=_percentile(answers, 90) if enough else None,
    )


def _percentile(rising: Sequence[float], percent: int) -> int:
    """By nearest rank: a time that was."""
    return round(rising[math.ceil(len(rising) * percent / 100) - 1])


def _order(key: Key) -> tuple[tuple[bool, str], ...]:
    # Sums after what they are sums of.
    return tuple((value is None, value or "") for value in key)
