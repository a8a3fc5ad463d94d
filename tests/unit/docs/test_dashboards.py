"""The dashboards: their files, what each panel says, and the metrics that their queries name."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from docs import diagrams
from docs.dashboards import files
from docs.dashboards.files import DASHBOARDS
from docs.dashboards.panel import COLUMNS, Dashboard, Panel
from tests.unit.docs.pages import ROOT

PANELS = [(one.name, panel) for one in DASHBOARDS for panel in one.panels]
QUERIES = [(f"{name}: {panel.title}", query.expression) for name, panel in PANELS for query in panel.queries]


def test_files_are_written_from_the_code() -> None:
    assert files.differing() == []
    assert len(files.texts()) == len(DASHBOARDS)


def test_check_fails_for_a_dashboard_that_was_edited(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FOLDER", tmp_path_factory.mktemp("grafana"))
    assert diagrams.main(["--check"]) == 1
    assert diagrams.main([]) == 0
    assert diagrams.main(["--check"]) == 0
    (files.FOLDER / "network.json").write_text("{}", encoding="utf-8")
    (files.FOLDER / "old.json").write_text("{}", encoding="utf-8")
    assert [path.name for path in files.differing()] == ["network.json", "old.json"]
    assert diagrams.main(["--check"]) == 1
    assert diagrams.main([]) == 0
    assert files.differing() == []


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=lambda part: getattr(part, "title", part))
def test_panel_has_a_description_a_unit_and_queries(name: str, panel: Panel) -> None:
    assert re.fullmatch(r"[A-Z`].{30,}\.", panel.description)
    assert panel.unit
    assert panel.queries
    assert len(panel.queries) == 1 or all(query.legend for query in panel.queries)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_panels_of_a_dashboard_have_titles_and_places_of_their_own(dashboard: Dashboard) -> None:
    panels = json.loads(dashboard.text())["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        cell
        for place in (panel["gridPos"] for panel in panels)
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < COLUMNS


@pytest.mark.parametrize(("panel", "expression"), QUERIES)
def test_query_takes_the_maximum_of_gauges_and_the_sum_of_counters(panel: str, expression: str) -> None:
    """So that a second process of a service changes nothing."""
    of_a_process = {"kopuro_build_info", "kopuro_http_requests_in_flight", "kopuro_public_connections"}
    for metric in re.findall(r"(?:kopuro|process)_[a-z_]+", expression):
        if metric.endswith(("_total", "_bucket")):
            aggregate = r"sum( by \([a-z_, ]+\))? ?\((increase|rate)"
        else:
            aggregate = (r"sum" if metric in of_a_process else r"max") + r"( by \([a-z_, ]+\))? ?"
        assert re.search(rf"{aggregate}\({metric}", expression), (panel, metric, expression)


def test_queries_name_no_organization() -> None:
    assert [expression for _, expression in QUERIES if "organi" in expression] == []


def test_documentation_names_every_dashboard_and_the_one_of_rabbitmq() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [one.title for one in DASHBOARDS if one.title not in page] == []
    assert "10991" in page
