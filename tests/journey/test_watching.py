"""A real Prometheus watches a hub: rules, dashboards, and each alert firing and falling."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from admin.embedded_broker import LOOPBACK
from docs.dashboards.files import DASHBOARDS
from kopuro_client import continuing_trace
from runtime.telemetry import trace
from runtime.telemetry.spans import ATTRIBUTES
from sandbox.demo.stories import STORIES
from sandbox.hub import Hub
from sandbox.hub_files import GATEWAY, SERVICES
from tests.journey.conftest import POLICY
from tests.journey.published_contract import check_message
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.metric_replay import Replay, changes_of, recorded, serving
from tests.support.prometheus_server import PrometheusServer, Target, prometheus
from tests.support.span_receiver import ReceivedSpan, SpanReceiver, span_receiver
from tests.unit.docs.pages import ROOT
from tests.unit.docs.test_alerts import RULES, promtool_tests

PROCESSES = (*SERVICES, GATEWAY)
RULE_FILES = {file.name: file.read_text("utf-8") for file in (ROOT / "deploy/prometheus").glob("*.rules.yml")}
# Alerts whose cause is not a value of a series but a service that is down or not watched.
ABOUT_ABSENCE = {"KopuroServiceDown", "KopuroFiguresAbsent", "KopuroServiceAbsent"}


def expositions(hub: RunningHub) -> Mapping[str, str]:
    """Return the metrics of every process."""
    return {service: hub.operations(service, "/metrics").text for service in PROCESSES}


def names_in(exposition: str) -> set[str]:
    """Return the names of our metrics, also of those without a series yet."""
    names = re.findall(r"^# TYPE (kopuro_\w+) ", exposition, flags=re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


@pytest.fixture(scope="module")
def receiver() -> Iterator[SpanReceiver]:
    """A receiver of the hub's spans."""
    with span_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, receiver: SpanReceiver) -> Iterator[RunningHub]:
    """A hub with a gateway, in which no other test has filled the services that the stories need.

    The figures are the same on both databases, which tests/unit/services/routing shows.
    """
    directory = tmp_path_factory.mktemp("watched")
    policy = directory / "policy.json"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    environment |= {
        "KOPURO_SANDBOX": "true",
        "KOPURO_TRACES_ENDPOINT": receiver.url,
        "KOPURO_DIGEST": "day",
    }
    running = Hub(directory / "data", policy=policy, amqp=True, environment=environment)
    try:
        running.start()
        yield RunningHub(running, databases={})
    finally:
        running.stop()


@pytest.fixture(scope="module")
def watched(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Prometheus with the shipped rules, which has watched the hub during the demo's stories."""
    targets = [
        Target(service=service, address=f"{LOOPBACK}:{hub.files.ports(service).operations}")
        for service in PROCESSES
    ]
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets, RULE_FILES) as server:
        up = dict.fromkeys(PROCESSES, "up")
        until(lambda: server.targets() == up, "a scrape of every service", within=60)
        for story in STORIES.values():
            story(hub.demo)
        yield server


def test_coordinators_get_the_digest_of_the_day(hub: RunningHub) -> None:
    def digests() -> list[dict[str, Any]]:
        asked = {"Authorization": f"Bearer {hub.token('coordinator')}"}
        address = f"{hub.address('delivery')}/v1/mailbox?type=coordination.digest"
        found: list[dict[str, Any]] = httpx.get(address, headers=asked).raise_for_status().json()["items"]
        return found

    (digest,) = until(digests, "the digest")
    check_message(digest)
    assert [one["queue"] for one in digest["data"]["queues"]] == [
        "unplaced",
        "silent",
        "overdue",
        "acceptor_suspended",
        "emergency",
    ]


def test_decision_of_a_deadline_is_in_the_trace_of_the_submission(
    watched: PrometheusServer, receiver: SpanReceiver
) -> None:
    def causes() -> set[str]:
        spans = {(span.trace_id, span.span_id): span for span in receiver.spans()}
        decided = [span for span in spans.values() if span.name == "decide kopuro.offer.expired.v1"]
        return {parent.name for one in decided if (parent := spans.get((one.trace_id, str(one.parent_id))))}

    until(causes, "the span of a deadline", within=60)
    assert causes() == {"process kopuro.referral.submitted.v1"}


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


def test_figures_match_the_stories(watched: PrometheusServer) -> None:
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


def in_trace(receiver: SpanReceiver, trace_id: str) -> list[ReceivedSpan]:
    return [span for span in receiver.spans() if span.trace_id == trace_id]


def test_journey_of_a_referral_is_one_trace_without_a_word_about_the_person(
    hub: RunningHub, receiver: SpanReceiver
) -> None:
    name = "Zarina Abdukhalil-Qizi"
    journey = trace.continued(None)
    with continuing_trace({"traceparent": str(journey)}):
        sender, referral_id = hub.submit("wage-claim-osh-moscow", case={"name": name, "narrative": name})
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    again = acceptor.hub.mailbox(since="2026-01-01T00:00:00Z", types=["offer.opened"], limit=200)["items"]
    # Offers of other tests may have ended meanwhile: their messages are closed and name none.
    (offer,) = [one for one in again if one["data"].get("offer_id") == offer_id]
    with continuing_trace(offer):
        acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)

    steps = [
        ("intake", "POST /v1/referrals"),
        ("intake", "publish kopuro.referral.submitted.v1"),
        ("routing", "process kopuro.referral.submitted.v1"),
        ("routing", "publish kopuro.offer.opened.v1"),
        ("delivery", "process kopuro.offer.opened.v1"),
        ("audit", "process kopuro.offer.opened.v1"),
        ("intake", "POST /v1/offers/<id>/accept"),
        ("routing", "process kopuro.answer.submitted.v1"),
        ("vault", "process kopuro.offer.accepted.v1"),
        ("vault", "publish kopuro.case.released.v1"),
        ("audit", "process kopuro.case.released.v1"),
    ]

    def missing() -> set[tuple[str, str]]:
        told = {(span.service, span.name) for span in in_trace(receiver, journey.trace_id)}
        return set(steps) - told

    until(lambda: not missing(), "every step in the trace", within=30)
    spans = in_trace(receiver, journey.trace_id)
    known = {span.span_id for span in spans}
    assert len(known) == len(spans)
    orphans = {span.name for span in spans if span.parent_id not in known | {journey.span_id}}
    assert orphans == set()
    assert {attribute for span in receiver.spans() for attribute in span.attributes} <= ATTRIBUTES

    sent = b"".join(receiver.bodies)
    told = [name, referral_id, offer_id, offer["id"], offer["correlationid"], sender.id, acceptor.id]
    assert [one for one in told if one.encode() in sent] == []
    assert [one.id for one in hub.network.organizations if one.id.encode() in sent] == []


def test_exemplars_of_the_metrics_are_traces_that_were_exported(
    hub: RunningHub, receiver: SpanReceiver
) -> None:
    hub.submit("wage-claim-osh-moscow")
    port = hub.files.ports("intake").operations
    text = httpx.get(
        f"http://{LOOPBACK}:{port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    ).text
    (submission,) = re.findall(
        r'kopuro_http_request_seconds_bucket.*route="/v1/referrals",status="202".*trace_id="(\w+)"', text
    )[-1:]
    until(lambda: in_trace(receiver, submission) or None, "the exemplar's trace", within=30)


def test_receiver_that_does_not_answer_delays_no_message(hub: RunningHub, receiver: SpanReceiver) -> None:
    receiver.answering.clear()
    try:
        started = time.monotonic()
        for _ in range(5):
            sender, referral_id = hub.submit("wage-claim-osh-moscow")
            hub.next_offer(sender, referral_id)
        assert time.monotonic() - started < 20

        def failed() -> bool:
            text = hub.operations("intake", "/metrics").text
            return float(re.findall(r'kopuro_spans_total{result="failed"} (\S+)', text)[0]) > 0

        until(failed, "the failure of an export in the metrics", within=30)
        assert hub.operations("intake", "/readyz").status_code == 200
    finally:
        receiver.answering.set()


@pytest.mark.timeout(300)
def test_each_alert_fires_and_ends(hub: RunningHub, tmp_path: Path) -> None:
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
        targets = [Target(service=one, address=address, path=f"/{one}") for one in PROCESSES]
        with prometheus(tmp_path, targets, hurried) as server:

            def fires_exactly(names: set[str], when: str) -> None:
                until(lambda: server.firing() == names, f"{sorted(names)} {when}", within=90)

            up = dict.fromkeys(PROCESSES, "up")
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
