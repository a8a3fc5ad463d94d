from __future__ import annotations

import secrets

import pytest

from runtime.telemetry import trace
from runtime.telemetry.spans import (
    ATTRIBUTES,
    NoSpans,
    Span,
    decision_span,
    handling_span,
    is_sampled,
    publication_span,
    request_span,
)

ROOT = trace.Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
AT = ROOT.child("00f067aa0ba902b7")


def spans() -> list[Span]:
    return [
        request_span(AT, ROOT, method="POST", route="/v1/offers/<id>", status=202, started=1, ended=2),
        publication_span(
            AT, ROOT, fact="kopuro.offer.opened.v1", exchange="kopuro.events", started=1, ended=2
        ),
        handling_span(
            AT,
            ROOT,
            fact="kopuro.offer.opened.v1",
            consumer="delivery.events",
            batch=3,
            result="applied",
            started=1,
            ended=2,
        ),
        decision_span(AT, ROOT, fact="kopuro.offer.expired.v1", started=1, ended=2),
    ]


def test_spans_have_only_listed_attributes() -> None:
    given = {name for span in spans() for name in span.attributes}
    assert given == ATTRIBUTES


def test_spans_name_their_cause() -> None:
    assert {span.parent_id for span in spans()} == {ROOT.span_id}
    assert {span.trace.trace_id for span in spans()} == {ROOT.trace_id}


def test_request_without_traceparent_begins_its_trace() -> None:
    span = request_span(AT, None, method="GET", route="/v1/mailbox", status=200, started=1, ended=2)
    assert span.parent_id is None


@pytest.mark.parametrize(("status", "failed"), [(200, False), (404, False), (500, True), (503, True)])
def test_request_has_failed_when_the_hub_is_at_fault(status: int, failed: bool) -> None:
    span = request_span(AT, None, method="GET", route="/v1/mailbox", status=status, started=1, ended=2)
    assert span.failed is failed


def test_publication_after_the_clock_was_set_back_has_no_negative_duration() -> None:
    span = publication_span(AT, ROOT, fact="f", exchange="e", started=10, ended=4)
    assert span.ended == span.started


def test_ratio_selects_its_share_of_traces_and_a_larger_one_contains_a_smaller_one() -> None:
    traces = [secrets.token_hex(16) for _ in range(4000)]
    tenth = {one for one in traces if is_sampled(one, 0.1)}
    half = {one for one in traces if is_sampled(one, 0.5)}
    assert 250 < len(tenth) < 560  # ten standard deviations
    assert tenth < half
    assert all(is_sampled(one, 1.0) for one in traces)


def test_nothing_is_sampled_without_tracing() -> None:
    assert not NoSpans().samples(ROOT)
