"""The panels that docs/operations.md shows as pictures, and how a query's result becomes lines or bars."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.charts import Bar, Line, bars, lines
from benchmarks.figures import spread
from docs.dashboards.network import NETWORK
from docs.dashboards.panel import Kind, Panel

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One panel as a file in docs. unit: shown below the title."""

    file: str
    panel: Panel
    unit: str


def _of_network(title: str) -> Panel:
    (panel,) = [panel for panel in NETWORK.panels if panel.title == title]
    return panel


PICTURES: Final = (
    Picture(file="watching-open.svg", panel=_of_network("Open referrals by status"), unit="referrals"),
    Picture(file="watching-ends.svg", panel=_of_network("Ends of offers in a day"), unit="offers"),
    Picture(
        file="watching-needs.svg", panel=_of_network("Open referrals by need and country"), unit="referrals"
    ),
    Picture(
        file="watching-declines.svg", panel=_of_network("Reasons for declining in a week"), unit="offers"
    ),
)


def drawn(picture: Picture, results: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """Return the SVG of a range query's result (`values`) for lines, of an instant one (`value`) for bars.

    results: as Prometheus' HTTP API returns them, for the panel's one query. seconds: the length of the run.
    """
    (query,) = picture.panel.queries
    named = sorted(((legend(query.legend, one["metric"]), one) for one in results), key=lambda one: one[0])
    if picture.panel.kind is Kind.bars:
        found = [(name, value) for name, one in named if (value := float(one["value"][1])) > 0]
        found.sort(key=lambda one: (-one[1], one[0]))
        return bars(
            picture.panel.title,
            picture.unit,
            [Bar(name=name, figure=spread([value]), is_ours=True) for name, value in found],
        )
    start = min(float(one["values"][0][0]) for _, one in named)
    series = [
        Line(name=name, points=[(float(when) - start, float(value)) for when, value in one["values"]])
        for name, one in named
    ]
    shown = [line for line in series if any(value > 0 for _, value in line.points)]
    return lines(picture.panel.title, f"{picture.unit}, over {seconds:.0f} seconds", shown)


def legend(template: str, labels: Mapping[str, str]) -> str:
    """Return a series' name as Grafana writes it."""
    return _PLACEHOLDER.sub(lambda match: labels.get(match[1], ""), template)
