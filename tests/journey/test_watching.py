"""A real Prometheus watches a hub: rules, dashboards, and each alert firing and falling."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from admin.embedded_broker import LOOPBACK
from docs.dashboards.files import DASHBOARDS
from sandbox.broker import PrivateBroker
from sandbox.demo.stories import STORIES
from sandbox.hub_files import SERVICES
from tests.journey.conftest import running_hub
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.metric_replay import Replay, changes_of, recorded, serving
from tests.support.prometheus_server import PrometheusServer, Target, prometheus
from tests.unit.docs.pages import ROOT
from tests.unit.docs.test_alerts import RULES, promtool_tests

RULE_FILES = {file.name: file.read_text("utf-8") for file in (ROOT / "deploy/prometheus").glob("*.rules.yml")}
# Alerts that no value of a series causes, but a service that is down or not watched.
ABOUT_ABSENCE = {"KopuroServiceDown", "KopuroFiguresAbsent", "KopuroServiceAbsent"}


def expositions(hub: RunningHub) -> Mapping[str, str]:
    """Return the metrics of every service."""
    return {service: hub.operations(service, "/metrics").text for service in SERVICES}


def names_in(exposition: str) -> set[str]:
    """Return the names of our metrics, also of those without a series yet."""
    names = re.findall(r"^# TYPE (kopuro_\w+) ", exposition, flags=re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    """A hub in which no other test has filled the services that the stories need.

    The figures are the same on both databases, which tests/unit/services/routing shows.
    """
    with running_hub(tmp_path_factory.mktemp("watched"), broker) as running:
        yield running


@pytest.fixture(scope="module")
def watched(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Prometheus with the shipped rules, which has watched the hub during the demo's stories."""
    targets = [
        Target(service=service, address=f"{LOOPBACK}:{hub.files.ports(service).operations}")
        for service in SERVICES
    ]
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets, RULE_FILES) as server:
        up = dict.fromkeys(SERVICES, "up")
        until(lambda: server.targets() == up, "a scrape of every service", within=60)
        for story in STORIES.values():
            story(hub.demo)
        yield server


def test_every_panel_has_data_after_the_stories(watched: PrometheusServer) -> None:
    wanted = {
        (dashboard.name, panel.title): [
            query.expression.replace("$__rate_interval", "5m").replace("$service", "intake")
            for query in panel.queries
        ]
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
    }
    assert len(wanted) > 30

    def empty() -> list[tuple[str, str]]:
        return [
            panel for panel, queries in wanted.items() if not all(watched.query(query) for query in queries)
        ]

    until(lambda: empty() == [] or None, f"data of every panel; at first lacking: {empty()}", within=60)


def test_figures_tell_what_happened_in_the_stories(watched: PrometheusServer) -> None:
    def total(metric: str) -> float:
        return sum(watched.query(f"sum({metric})").values())

    def told() -> bool:
        return (
            total('kopuro_offers_closed_total{result="accepted"}') >= len(STORIES)
            and total('kopuro_offers_closed_total{result="expired", reason="no_answer"}') >= 1
            and total("kopuro_unplaced_total") >= 1
            and total("kopuro_offer_answer_seconds_count") >= len(STORIES)
        )

    until(told, "the stories in the figures", within=60)


def test_rules_are_evaluated_without_a_fault_and_nothing_fires(watched: PrometheusServer) -> None:

    def every_rule() -> list[dict[str, Any]] | None:
        rules = watched.rules()
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    evaluated = until(every_rule, "an evaluation of every rule", within=60)
    assert {rule["name"] for rule in evaluated} == set(RULES)
    assert [(rule["name"], rule.get("lastError")) for rule in evaluated if rule["health"] != "ok"] == []
    assert watched.firing() == set()


def test_rules_and_panels_name_only_metrics_that_the_hub_exports(hub: RunningHub) -> None:
    exported = {name for text in expositions(hub).values() for name in names_in(text)}
    queries = [query.expression for one in DASHBOARDS for panel in one.panels for query in panel.queries]
    read = re.findall(r"kopuro_\w+", "\n".join([*(rule["expr"] for rule in RULES.values()), *queries]))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in read} - exported == set()


def test_operations_page_explains_every_metric_that_the_hub_exports(hub: RunningHub) -> None:
    exported = {name for text in expositions(hub).values() for name in names_in(text)}
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert exported - set(re.findall(r"`(kopuro_\w+)", page)) == set()


def test_no_series_names_an_organization_or_a_person(hub: RunningHub) -> None:
    sample = hub.network.referral("wage-claim-osh-moscow")
    hub.submit("wage-claim-osh-moscow")
    text = "\n".join(expositions(hub).values())
    assert sample.sender not in text
    assert [one.id for one in hub.network.organizations if one.id in text] == []


@pytest.mark.timeout(300)
def test_each_alert_fires_and_falls(hub: RunningHub, tmp_path: Path) -> None:
    """The hub's own series, replayed with those of promtool's tests, and rules with short times."""
    firing = [test for test in promtool_tests() if test["name"].endswith(" fires")]
    changes = [
        change
        for test in firing
        if test["name"].removesuffix(" fires") not in ABOUT_ABSENCE
        for change in changes_of(test)
    ]
    replay = Replay({name: recorded(text) for name, text in expositions(hub).items()}, changes)
    hurried = {name: _hurried(text) for name, text in RULE_FILES.items()}
    with serving(replay) as address:
        targets = [Target(service=one, address=address, path=f"/{one}") for one in SERVICES]
        with prometheus(tmp_path, targets, hurried) as server:

            def fires_exactly(names: set[str], when: str) -> None:
                until(lambda: server.firing() == names, f"{sorted(names)} {when}", within=90)

            up = dict.fromkeys(SERVICES, "up")
            until(lambda: server.targets() == up, "a scrape of every service", within=60)
            fires_exactly(set(), "on a quiet hub")
            replay.raised = True
            fires_exactly(set(RULES) - ABOUT_ABSENCE, "with every fault")
            replay.raised = False
            fires_exactly(set(), "without the faults")
            replay.down.add("vault")
            replay.empty.add("routing")
            fires_exactly(ABOUT_ABSENCE, "with a service down and one without metrics")
            replay.down.clear()
            replay.empty.clear()
            fires_exactly(set(), "with every service")


def _hurried(rules: str) -> str:
    """Return rules that wait a second instead of minutes, and look back seconds instead of days."""
    text = re.sub(r"for: \w+", "for: 1s", re.sub(r"\[\d+[mhd]\]", "[8s]", rules))
    assert yaml.safe_load(text)["groups"]
    return text
