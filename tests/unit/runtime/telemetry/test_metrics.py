from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from runtime.telemetry.metrics import HttpMetrics, build_info, process_registry


def test_requests_are_counted_by_method_route_and_status() -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)
    metrics.observe("GET", "/v1/things/<id>", 200, 0.02)
    metrics.observe("GET", "/v1/things/<id>", 200, 0.2)
    metrics.observe("GET", "/v1/things/<id>", 404, 0.2)
    labels = {"method": "GET", "route": "/v1/things/<id>", "status": "200"}
    assert registry.get_sample_value("kopuro_http_requests_total", labels) == 2
    bucket = registry.get_sample_value("kopuro_http_request_seconds_bucket", {**labels, "le": "0.1"})
    assert bucket == 1


def test_refusals_share_one_histogram_and_are_counted_apart() -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)
    for status in (400, 401, 404, 405, 431, 500, 503):
        metrics.observe("GET", "/v1/things", status, 0.02)
        metrics.observe("PUT", "/v1/others", status, 0.02)
    histograms = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "kopuro_http_request_seconds_count"
    }
    assert histograms == {("(any)", "4xx"): 10, ("/v1/things", "5xx"): 2, ("/v1/others", "5xx"): 2}
    labels = {"method": "GET", "route": "/v1/things", "status": "401"}
    assert registry.get_sample_value("kopuro_http_requests_total", labels) == 1


def test_process_registries_are_separate() -> None:
    HttpMetrics(process_registry())
    HttpMetrics(process_registry())


def test_build_info_names_the_service_and_the_version() -> None:
    registry = CollectorRegistry()
    build_info(registry, "routing")
    (family,) = registry.collect()
    (sample,) = family.samples
    assert (sample.name, sample.value) == ("kopuro_build_info", 1)
    assert (sample.labels["service"], sample.labels["version"]) == ("routing", version("kopuro"))


def test_bucket_names_the_trace_of_its_latest_request() -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)
    metrics.observe("POST", "/v1/referrals", 202, 0.2, trace_id="a" * 32)
    metrics.observe("POST", "/v1/referrals", 202, 0.2)
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    (line,) = [line for line in encode(registry).decode().splitlines() if "trace_id" in line]
    assert 'le="0.25"' in line
    assert line.partition(" # ")[2].startswith(f'{{trace_id="{"a" * 32}"}} 0.2')
    plain, _ = choose_encoder("text/plain")
    assert b"trace_id" not in plain(registry)
