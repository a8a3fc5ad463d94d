from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from runtime.settings import SettingsError
from runtime.telemetry import otlp, span_export, trace
from runtime.telemetry.otlp import otlp_exporter
from runtime.telemetry.span_export import BATCH, SpanExport, span_counter
from runtime.telemetry.spans import Span, request_span
from tests.support.span_receiver import SpanReceiver, span_receiver


def span(status: int = 200) -> Span:
    at = trace.continued(None)
    return request_span(at, None, method="GET", route="/v1/x", status=status, started=10**18, ended=10**18)


class Receiver:
    """An exporter whose receiver takes everything or nothing."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.taken: list[Span] = []
        self.closed = False

    def export(self, spans: Sequence[Span]) -> bool:
        if self.works:
            self.taken += spans
        return self.works

    def close(self) -> None:
        self.closed = True


class Counted:
    """An export with its counter."""

    def __init__(self, exporter: Receiver, *, most_waiting: int = 1000) -> None:
        self.registry = CollectorRegistry()
        self.export = SpanExport(exporter, span_counter(self.registry), most_waiting=most_waiting)

    def count(self, result: str) -> float | None:
        return self.registry.get_sample_value("kopuro_spans_total", {"result": result})


def test_every_result_is_present_at_zero() -> None:
    counted = Counted(Receiver())
    assert [counted.count(result) for result in ("exported", "dropped", "failed")] == [0, 0, 0]


def test_spans_are_exported_in_order_and_in_batches() -> None:
    receiver = Receiver()
    counted = Counted(receiver)
    given = [span() for _ in range(2 * BATCH + 1)]
    for one in given:
        counted.export.add(one)
    counted.export.export_waiting()
    assert receiver.taken == given
    assert counted.count("exported") == len(given)


def test_span_beyond_the_queue_is_dropped_and_counted() -> None:
    counted = Counted(Receiver(), most_waiting=3)
    for _ in range(5):
        counted.export.add(span())
    counted.export.export_waiting()
    assert (counted.count("exported"), counted.count("dropped")) == (3, 2)


def test_failed_batch_is_counted_and_not_repeated() -> None:
    receiver = Receiver(works=False)
    counted = Counted(receiver)
    for _ in range(BATCH + 7):
        counted.export.add(span())
    counted.export.export_waiting()
    assert (counted.count("failed"), counted.count("exported")) == (BATCH, 0)

    receiver.works = True
    counted.export.export_waiting()
    assert (counted.count("failed"), counted.count("exported")) == (BATCH, 7)


def test_long_outage_of_the_receiver_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    counted = Counted(Receiver(works=False))
    for _ in range(3):
        counted.export.add(span())
        counted.export.export_waiting()
    assert [record.message for record in caplog.records] == ["spans not exported"]


def test_stop_exports_waiting_spans() -> None:
    receiver = Receiver()
    counted = Counted(receiver)
    counted.export.start(lambda work: threading.Thread(target=work).start())
    counted.export.add(span())
    counted.export.stop()
    assert (len(receiver.taken), receiver.closed) == (1, True)


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    with span_receiver() as running:
        yield running


def test_real_receiver_reads_what_was_sent(receiver: SpanReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=kopuro")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=gulnara-laptop")
    parent = trace.continued(None)
    sent = request_span(
        parent.child("00f067aa0ba902b7"),
        parent,
        method="POST",
        route="/v1/referrals",
        status=503,
        started=1_700_000_000_000_000_000,
        ended=1_700_000_000_250_000_000,
    )
    exporter = otlp_exporter(receiver.url, "intake")
    assert exporter.export([sent])
    exporter.close()
    (read,) = receiver.spans()
    assert (read.trace_id, read.span_id, read.parent_id) == (
        parent.trace_id,
        "00f067aa0ba902b7",
        parent.span_id,
    )
    assert (read.service, read.name, read.kind) == ("intake", "POST /v1/referrals", "SPAN_KIND_SERVER")
    assert read.attributes == sent.attributes
    assert (read.seconds, read.failed) == (0.25, True)
    assert receiver.headers[0]["x-tenant"] == "kopuro"
    assert b"gulnara" not in receiver.bodies[0]


def test_receiver_that_does_not_answer_holds_the_exporter_for_its_time_only(
    receiver: SpanReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "TIMEOUT_SECONDS", 0.3)
    receiver.answering.clear()
    started = time.monotonic()
    assert not otlp_exporter(receiver.url, "intake").export([span()])
    assert time.monotonic() - started < 10


def test_receiver_that_is_down_takes_nothing_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "TIMEOUT_SECONDS", 0.3)
    assert not otlp_exporter("http://127.0.0.1:9/v1/traces", "intake").export([span()])


def test_redirect_takes_no_span_and_no_header_elsewhere(
    receiver: SpanReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    with span_receiver() as other:
        receiver.redirect = other.url
        assert not otlp_exporter(receiver.url, "intake").export([span()])
    assert (len(receiver.bodies), other.bodies) == (1, [])


def test_body_of_an_answer_is_not_read(receiver: SpanReceiver) -> None:
    receiver.flood = 100 * 1024 * 1024
    assert otlp_exporter(receiver.url, "intake").export([span()])
    assert receiver.flooded < receiver.flood / 2


def test_stop_does_not_wait_for_a_receiver_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(span_export, "SECONDS", 0.01)
    began, never = threading.Event(), threading.Event()

    class Endless(Receiver):
        def export(self, spans: Sequence[Span]) -> bool:
            began.set()
            return never.wait()

    counted = Counted(Endless())
    counted.export.add(span())
    counted.export.start(lambda work: threading.Thread(target=work).start())
    assert began.wait(10)
    stopping = threading.Thread(target=counted.export.stop)
    stopping.start()
    stopping.join(10)
    stopped = not stopping.is_alive()
    never.set()
    assert stopped


def test_missing_library_names_the_setting_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(SettingsError, match=r"KOPURO_TRACES_ENDPOINT.*kopuro\[traces\]"):
        otlp_exporter("http://127.0.0.1:4318/v1/traces", "intake")
