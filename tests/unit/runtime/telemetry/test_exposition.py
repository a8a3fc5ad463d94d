"""The answer to a scrape: what it costs, and that others run meanwhile."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from runtime.telemetry.exposition import exposition
from runtime.telemetry.metrics import HttpMetrics, process_registry
from tests.support.resources import SERVICES, resources

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROVOKED = (400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 428, 429, 431)


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_exposition_is_that_of_the_library(accept: str) -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)
    metrics.observe("GET", "/v1/things", 200, 0.2, trace_id="a" * 32)
    encode, media_type = choose_encoder(accept)
    assert exposition(registry, accept) == (encode(registry), media_type)


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_other_requests_run_while_the_samples_of_one_metric_become_text(
    accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    counter = Counter("kopuro_things", "Things", ("kind",), registry=registry)
    for number in range(500):
        counter.labels(str(number))
    turns: list[float] = []
    monkeypatch.setattr("runtime.turn.TURN_SECONDS", 0.0)
    monkeypatch.setattr("runtime.turn.time.sleep", turns.append)
    exposition(registry, accept)
    assert len(turns) > 500


@pytest.mark.parametrize("service", SERVICES)
def test_series_stay_few_after_every_refusal_of_every_route(service: str) -> None:
    # A series takes some 13 microseconds of a scrape, and a scrape has 50 milliseconds.
    registry = process_registry()
    metrics = HttpMetrics(registry)
    for name, entrypoint in resources().items():
        if name.startswith(f"{service} "):
            route = entrypoint.route()
            responses = () if entrypoint.operation is None else entrypoint.operation.responses
            for status in (*responses, *PROVOKED):
                metrics.observe(route.method, route.template, status, 0.02)
    lines = exposition(registry, "text/plain")[0].splitlines()
    assert len(lines) < 3_000
