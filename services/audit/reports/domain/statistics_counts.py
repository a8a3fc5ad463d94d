"""Statistics: counts of referrals by submitted situation, outcome and acceptor. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeVar

from contracts import vocabularies
from services.audit.reports.domain.statistics_classes import COMBINED, combined_classes
from services.audit.reports.domain.statistics_suppression import (
    THRESHOLD,
    Finest,
    Key,
    TooDetailed,
    keys_of,
    shown,
    sums,
)

T = TypeVar("T")

SITUATION: Final = ("sex", "age_band", "origin", "region", "need", "stage", "urgency")
DIMENSIONS: Final = (*SITUATION, "outcome", "organization_kind")
_VOCABULARIES: Final = {
    "sex": "sexes",
    "age_band": "age_bands",
    "region": "regions",
    "need": "needs",
    "stage": "stages",
    "urgency": "urgencies",
    "outcome": "outcomes",
    "organization_kind": "organization_kinds",
}
# A cross-table's sums are protected together with its cells. If there were a third dimension, tables could be
# linked.
MOST_DIMENSIONS: Final = 2
# Protection compares each small figure with all others: about two seconds for this many cells, and
# milliseconds per figure.
MOST_CELLS: Final = 600

# A referral whose content has been erased has this value in every dimension. It still counts.
ERASED: Final = "erased"
OPEN: Final = "open"
# Open, and waiting for a coordinator.
UNPLACED: Final = "unplaced"
NOBODY: Final = "none"
UNKNOWN: Final = "unknown"
# Classes besides the codes of the vocabularies. ERASED is not listed: it occurs in every dimension.
_MORE_CLASSES: Final = {
    "outcome": ("withdrawn", "failed", OPEN, UNPLACED),
    "organization_kind": (NOBODY, UNKNOWN),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedReferral:
    """One referral. situation: values by dimension, several for needs; entries: its log entries.

    outcome: a code, `withdrawn`, `failed`, `open` or `unplaced`. organization_kind: the acceptor's. answered:
    the time from the submission to the first answer to an offer.
    """

    referral_id: str
    situation: Mapping[str, Sequence[str]]
    outcome: str
    organization_kind: str
    answered: dt.timedelta | None
    entries: tuple[int, ...]

    def values(self, dimension: str) -> tuple[str, ...]:
        """Return the values of the referral in a dimension: one value, or each of its needs once."""
        if dimension == "outcome":
            return (self.outcome,)
        if dimension == "organization_kind":
            return (self.organization_kind,)
        return tuple(dict.fromkeys(self.situation.get(dimension, ()))) or (UNKNOWN,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A count in a table. values: by dimension; a sum lacks its dimension; `combined` for combined classes.

    count: None when withheld. median, ninetieth: seconds. times_withheld: they are protected, because
    fewer than 5 referrals were answered or none.
    """

    values: Mapping[str, str]
    count: int | None
    median: int | None
    ninetieth: int | None
    times_withheld: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """A table. referrals: how many were counted. unit: `need` in a table by need, where a referral with two
    needs counts twice, otherwise `referral`.

    exact: whether all figures are unprotected. withheld: whether any figure was withheld because it is under
    5 or would reveal one that is; also where one combined row stands for all classes of a dimension.
    """

    by: tuple[str, ...]
    referrals: int
    unit: str
    figures: tuple[Figure, ...]
    exact: bool
    withheld: bool


def statistics_of(
    referrals: Iterable[CountedReferral],
    by: Sequence[str],
    *,
    exact: bool = False,
    pause: Callable[[], None] = lambda: None,
) -> Statistics:
    """Return the table by these dimensions, with its sums.

    A protected table has a row for every combination of classes, with withheld counts marked; an exact table
    has a row for every combination that occurs. pause: called after each referral and each figure, to let
    other greenlets run.
    """
    counted = [
        (tuple(referral.values(dimension) for dimension in by), referral.answered) for referral in referrals
    ]
    labels: list[Mapping[str, str]] = [{} for _ in by] if exact else _labels(counted, len(by), pause)
    finest: Counter[Finest] = Counter()
    persons: Counter[Key] = Counter()
    answers: dict[Key, list[float]] = defaultdict(list)
    for values, answered in _pausing(counted, pause):
        named = (
            [label.get(value, value) for value in of_one]
            for of_one, label in zip(values, labels, strict=True)
        )
        cells = list(product(*named))
        finest.update(cells)
        keys = {key for cell in cells for key in keys_of(cell)}
        persons.update(keys)
        if answered is not None:
            for key in keys:
                answers[key].append(answered.total_seconds())
    figures = _exact(finest) if exact else _protected(finest, persons, pause)
    return Statistics(
        by=tuple(by),
        referrals=len(counted),
        unit="need" if "need" in by else "referral",
        figures=tuple(
            _figure(by, key, figures[key], sorted(answers[key]), exact=exact)
            for key in _pausing(sorted(figures, key=_order), pause)
        ),
        exact=exact,
        withheld=None in figures.values()
        or any(_classes_shown(figures, place) == {COMBINED} for place in range(len(by))),
    )


def _pausing(items: Iterable[T], pause: Callable[[], None]) -> Iterator[T]:
    for item in items:
        yield item
        pause()


def _classes_shown(figures: Iterable[Key], place: int) -> set[str]:
    """Return the classes of a dimension that have a row."""
    return {value for key in figures for value in key[place : place + 1] if value is not None}


def _labels(
    counted: Sequence[tuple[tuple[tuple[str, ...], ...], dt.timedelta | None]],
    dimensions: int,
    pause: Callable[[], None],
) -> list[Mapping[str, str]]:
    """Return, for each dimension, the classes that are counted under COMBINED."""
    classes: list[dict[str, set[int]]] = [defaultdict(set) for _ in range(dimensions)]
    for number, (values, _) in enumerate(_pausing(counted, pause)):
        for found, of_one in zip(classes, values, strict=True):
            for value in of_one:
                found[value].add(number)
    return [dict.fromkeys(names, COMBINED) for names in combined_classes([*classes], most_cells=MOST_CELLS)]


def _exact(finest: Mapping[Finest, int]) -> dict[Key, int | None]:
    figures: Counter[Key] = Counter()
    for cell, count in finest.items():
        figures.update(dict.fromkeys(keys_of(cell), count))
    return dict(figures.items())


def _protected(
    finest: Mapping[Finest, int], persons: Mapping[Key, int], pause: Callable[[], None]
) -> dict[Key, int | None]:
    """Return every figure of the table; None when withheld."""
    figures = sums(finest)
    try:
        visible = shown(finest, persons=persons, pause=pause)
    except TooDetailed:
        # Every class holds 5 persons or more, so the sums alone leave at least two possible values per cell.
        visible = {key: count for key, count in figures.items() if None in key}
    if not visible:  # fewer than 5 in total and none at all must look alike
        return dict.fromkeys([key for key in figures if not any(key)] or [()])
    return {key: visible.get(key) for key in figures}


def combined_of(statistics: Statistics) -> dict[str, list[str]]:
    """Return, for each dimension with a combined row, the classes that the row may hold; empty when unknown.

    They come from the vocabularies and not from the referrals: a list of occurring classes would reveal that
    a person of a rare class exists.
    """
    combined = {}
    for dimension in statistics.by:
        named = {figure.values.get(dimension) for figure in statistics.figures}
        if COMBINED in named:
            vocabulary = vocabularies.codes(_VOCABULARIES[dimension]) if dimension in _VOCABULARIES else ()
            combined[dimension] = sorted({*vocabulary, *_MORE_CLASSES.get(dimension, ())} - named)
    return combined


def is_class(dimension: str, value: str) -> bool:
    """Return whether a referral can have this value in this dimension."""
    if value == ERASED or value in _MORE_CLASSES.get(dimension, ()):
        return True
    if value == UNKNOWN:
        return dimension in SITUATION
    if dimension == "origin":
        return re.fullmatch("[A-Z]{2}", value) is not None
    return value in vocabularies.codes(_VOCABULARIES[dimension])


def matches(referral: CountedReferral, values: Mapping[str, str]) -> bool:
    """Return whether the referral counts in the figure with these values."""
    return all(value in referral.values(dimension) for dimension, value in values.items())


def _figure(
    by: Sequence[str], key: Key, count: int | None, answers: Sequence[float], *, exact: bool
) -> Figure:
    values = {dimension: value for dimension, value in zip(by, key, strict=False) if value is not None}
    enough = len(answers) >= (1 if exact else THRESHOLD) and count is not None
    return Figure(
        values=values,
        count=count,
        median=_percentile(answers, 50) if enough else None,
        ninetieth=_percentile(answers, 90) if enough else None,
        times_withheld=not enough and not exact,
    )


def _percentile(rising: Sequence[float], percent: int) -> int:
    """Return the percentile by nearest rank, so that it is a measured time."""
    return round(rising[math.ceil(len(rising) * percent / 100) - 1])


def _order(key: Key) -> tuple[tuple[bool, bool, str], ...]:
    # Sums come after their parts, and combined classes after named ones.
    return tuple((value is None, value == COMBINED, value or "") for value in key)
