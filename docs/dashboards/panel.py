"""Panels and dashboards as values, and Grafana's JSON of them (dashboard schema 39, Grafana 11)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

# The range of a rate, which Grafana fits to the interval of the panel.
RATE: Final = "[$__rate_interval]"
# Grafana's grid.
COLUMNS: Final = 24

# The data source is a variable, so that a dashboard can be imported anywhere.
SOURCE: Final[Mapping[str, str]] = {"type": "prometheus", "uid": "${source}"}

# RabbitMQ's own dashboard on grafana.com: https://www.rabbitmq.com/docs/prometheus
RABBITMQ_OVERVIEW: Final = 10991


class Kind(StrEnum):
    """The panel types in use."""

    number = "stat"
    lines = "timeseries"
    bars = "bargauge"


class Unit(StrEnum):
    """Grafana's ids of the units in use."""

    number = "short"
    seconds = "s"
    bytes = "bytes"
    per_second = "cps"
    requests = "reqps"
    share = "percentunit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One PromQL expression. legend: Grafana's template of a series' name, empty for a single series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel. description: what it says and what to do about it. width: in 24ths; height: in rows."""

    title: str
    description: str
    unit: Unit
    queries: Sequence[Query]
    kind: Kind = Kind.lines
    width: int = 12
    height: int = 8


def processor_time(selector: str) -> Panel:
    """Return the panel of the processor time that the selected processes use."""
    return Panel(
        title="Processor time",
        description="Seconds of processor time in a second, of each process. 1 is a whole core.",
        unit=Unit.share,
        queries=[
            Query(
                expression=f"sum by (instance) (rate(process_cpu_seconds_total{selector}{RATE}))",
                legend="{{instance}}",
            )
        ],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """One dashboard. name: of its file and its address. by_service: whether `$service` chooses a service."""

    name: str
    title: str
    description: str
    panels: Sequence[Panel]
    by_service: bool = False

    def text(self) -> str:
        """Return the JSON of the dashboard, as `deploy/grafana` holds it."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n"

    def document(self) -> dict[str, Any]:
        """Return Grafana's model of the dashboard."""
        return {
            "uid": f"kopuro-{self.name}",
            "title": self.title,
            "description": self.description,
            "tags": ["kopuro"],
            "schemaVersion": 39,
            "timezone": "browser",
            "refresh": "1m",
            "time": {"from": "now-24h", "to": "now"},
            "links": [
                {"type": "dashboards", "title": "Kopuro", "tags": ["kopuro"], "asDropdown": True},
                {
                    "type": "link",
                    "title": "RabbitMQ",
                    "url": f"https://grafana.com/grafana/dashboards/{RABBITMQ_OVERVIEW}",
                    "targetBlank": True,
                },
            ],
            "templating": {"list": self._variables()},
            "panels": _laid_out(self.panels),
        }

    def _variables(self) -> list[dict[str, Any]]:
        source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
        service = {
            "name": "service",
            "label": "Service",
            "type": "query",
            "datasource": SOURCE,
            "query": "label_values(kopuro_build_info, service)",
            "refresh": 2,
            "sort": 1,
        }
        return [source, service] if self.by_service else [source]


def _laid_out(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Return the panels in rows from left to right. A row is as high as its highest panel."""
    placed, left, top, height = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if left + panel.width > COLUMNS:
            left, top, height = 0, top + height, 0
        placed.append(_model(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height}))
        left, height = left + panel.width, max(height, panel.height)
    return placed


def _model(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit.value, "min": 0}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.kind is not Kind.lines else {},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
                "instant": panel.kind is not Kind.lines,
                "range": panel.kind is Kind.lines,
            }
            for place, query in enumerate(panel.queries)
        ],
    }
