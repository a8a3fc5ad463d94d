"""The alerts' files: each alert has a runbook entry and tests, and adds up several processes rightly."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.docs.pages import ROOT
from tests.unit.docs.test_references import headings

PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook.md"


def _loaded(file: Path) -> Any:
    # The C loader takes a tenth of the time, 0.3 s in each worker.
    return yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)


def rules() -> list[dict[str, Any]]:
    """Return the alerts of all files, in their order."""
    return [
        rule
        for file in sorted(PROMETHEUS.glob("*.rules.yml"))
        for group in _loaded(file)["groups"]
        for rule in group["rules"]
    ]


@functools.cache
def promtool_tests() -> list[dict[str, Any]]:
    """Return promtool's tests."""
    return [
        test for file in sorted((PROMETHEUS / "tests").glob("*.test.yml")) for test in _loaded(file)["tests"]
    ]


RULES = {rule["alert"]: rule for rule in rules()}
ABSENCE = {"KopuroFiguresAbsent", "KopuroServiceAbsent"}


def test_names_are_unique_and_the_files_are_those_of_the_configuration() -> None:
    assert len(RULES) == len(rules()) > 25
    files = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))["rule_files"]
    assert sorted(files) == sorted(file.name for file in PROMETHEUS.glob("*.rules.yml"))


@pytest.mark.parametrize("name", RULES)
def test_alert_says_who_acts_how_soon_and_where_it_is_explained(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["audience"] in ("operators", "coordinators")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (page, anchor) == ("docs/runbook.md", name.lower())
    entry = re.search(rf"### {name}\n\n\*(page|ticket)\.\* \w", RUNBOOK.read_text("utf-8"))
    assert entry is not None
    assert entry[1] == rule["labels"]["severity"]


def test_runbook_explains_nothing_but_alerts() -> None:
    entries = {heading for heading in headings(RUNBOOK) if heading.startswith("kopuro")}
    assert entries == {name.lower() for name in RULES}


def test_every_alert_is_tried_firing_silent_and_without_its_metric() -> None:
    names = {test["name"] for test in promtool_tests()}
    tried = set(RULES) - ABSENCE
    assert {f"{name} fires" for name in tried} <= names
    assert {f"{name} is silent" for name in tried} <= names
    without = [test for test in promtool_tests() if "input_series" not in test]
    expected = [
        sample["labels"]
        for test in without
        for check in test["promql_expr_test"]
        for sample in check["exp_samples"]
    ]
    assert expected == [f'{{alertname="{name}"}}' for name in sorted(ABSENCE)]


@pytest.mark.parametrize("name", sorted(set(RULES) - ABSENCE))
def test_tests_of_an_alert_use_the_series_that_it_reads(name: str) -> None:
    read = set(re.findall(r"\b(?:(?:kopuro|rabbitmq)_[a-z_]+|up)\b", RULES[name]["expr"]))
    firing = next(test for test in promtool_tests() if test["name"] == f"{name} fires")
    assert {one["series"].partition("{")[0] for one in firing["input_series"]} <= read


@pytest.mark.parametrize("name", sorted(set(RULES) - ABSENCE - {"KopuroServiceDown"}))
def test_alert_takes_the_maximum_of_gauges_and_the_sum_of_counters(name: str) -> None:
    """So that a second process of a service changes nothing."""
    expression = re.sub(r"\s+", " ", RULES[name]["expr"])
    for metric in re.findall(r"kopuro_[a-z_]+", expression):
        is_counter = metric.endswith(("_total", "_bucket"))
        around = (
            r"sum( by \([a-z_, ]+\))? ?\((increase|rate)\(" if is_counter else r"max( by \([a-z_, ]+\))? ?\("
        )
        assert re.search(around + metric, expression), (metric, expression)


def test_configuration_scrapes_every_service_under_its_name() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    (job,) = [job for job in configuration["scrape_configs"] if job["job_name"] == "kopuro"]
    found = [yaml.safe_load((PROMETHEUS / name).read_text("utf-8")) for name in _target_files(job)]
    targets = [*job["static_configs"], *(target for file in found for target in file)]
    watched = [target["labels"]["service"] for target in targets]
    services = [path.parent.name for path in (ROOT / "services").glob("*/service.py")]
    assert sorted(watched) == sorted(services)


def _target_files(job: dict[str, Any]) -> list[str]:
    return [name for found in job["file_sd_configs"] for name in found["files"]]


def test_rules_hold_no_name_of_an_organization() -> None:
    text = "".join(path.read_text("utf-8") for path in Path(PROMETHEUS).rglob("*.yml"))
    assert re.findall(r"organi[sz]ation *(?:=|!=|=~)", text) == []
