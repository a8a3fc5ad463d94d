"""The reports of weeks: what routing answers to coordinators, and to an organisation about itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from contracts.answers.form import Shape, named

_COUNT: Final = {"type": ["integer", "null"]}
# count: null if it is withheld. change: from the week before, null unless both are shown.
_FIGURE: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"count": _COUNT, "withheld": {"type": "boolean"}, "change": _COUNT},
}
FIGURE: Final = Shape(_FIGURE)
FIGURES: Final = Shape({"type": "object", "additionalProperties": dict(_FIGURE)})
ROWS: Final = Shape({"type": "array", "items": {"type": "object"}})


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkReport:
    """A week of the network beside the week before. threshold: smaller figures are withheld.

    gaps: by region, need and language. blocking: the referrals that each rule left without a candidate.
    organizations: how each answered its offers; null stands for all that share a row.
    """

    week: str
    start: dt.datetime = field(metadata=named("from"))
    end: dt.datetime = field(metadata=named("to"))
    made_at: dt.datetime
    before: str | None
    threshold: int
    totals: Annotated[Mapping[str, Any], FIGURES]
    median_answer: Annotated[Mapping[str, Any], FIGURE]
    gaps: Annotated[tuple[Mapping[str, Any], ...], ROWS]
    blocking: Annotated[tuple[Mapping[str, Any], ...], ROWS] = field(metadata=named("rules"))
    organizations: Annotated[tuple[Mapping[str, Any], ...], ROWS]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSeries:
    """The totals of the latest weeks or months, the oldest first."""

    every: str
    items: Annotated[tuple[Mapping[str, Any], ...], ROWS]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationStatement:
    """The figures of an organisation's own week.

    considered: the offers and the referrals for which the organisation was passed over. Of these three,
    figures below 5 are withheld, and `others` counts the reasons that share a row. The others are exact.
    """

    organization: str
    week: str
    start: dt.datetime = field(metadata=named("from"))
    end: dt.datetime = field(metadata=named("to"))
    before: str | None
    considered: Annotated[Mapping[str, Any], FIGURE]
    passed_over: Annotated[Mapping[str, Any], FIGURE]
    passed_over_by_reason: Annotated[Mapping[str, Any], FIGURES]
    asked: Annotated[Mapping[str, Any], FIGURE]
    answered: Annotated[Mapping[str, Any], FIGURE]
    accepted: Annotated[Mapping[str, Any], FIGURE]
    declined: Annotated[Mapping[str, Any], FIGURES]
    silent: Annotated[Mapping[str, Any], FIGURE]
    median_answer: Annotated[Mapping[str, Any], FIGURE]
