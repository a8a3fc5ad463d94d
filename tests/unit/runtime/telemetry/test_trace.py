from __future__ import annotations

import pytest

from runtime.telemetry import trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_traceparent_round_trip_keeps_the_trace() -> None:
    assert str(trace.parse(PARENT)) == PARENT


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        PARENT.upper(),
        PARENT + "-extra",  # version 00 has four parts
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
    ],
)
def test_invalid_traceparent_is_ignored(text: str | None) -> None:
    assert trace.parse(text) is None


def test_traceparent_of_later_version_is_parsed() -> None:
    read = trace.parse("01" + PARENT[2:] + "-whatever")
    assert str(read) == PARENT


def test_child_span_keeps_the_trace_id() -> None:
    step = trace.continued(PARENT)
    assert step.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert step.span_id != "b7ad6b7169203331"
    assert trace.parse(str(step)) == step


@pytest.mark.parametrize(
    "text", [PARENT, f" {PARENT} ", PARENT[:-1] + "0", PARENT[:-2] + "ff", "01" + PARENT[2:] + "-whatever"]
)
def test_events_are_caused_by_the_span_that_handles_the_message(text: str) -> None:
    decided = trace.parse(text)
    assert decided is not None
    handled = trace.handling(decided, "/kg/routing", "a message")
    assert trace.caused_by(text, "/kg/routing", "a message") == str(handled)


def test_events_of_a_message_without_a_valid_trace_have_none() -> None:
    assert [trace.caused_by(text, "/kg/routing", "m") for text in (None, "", " ", "nonsense")] == [None] * 4


def test_missing_parent_starts_a_new_trace() -> None:
    first, second = trace.continued(None), trace.continued("nonsense")
    assert trace.parse(str(first)) == first
    assert first.trace_id != second.trace_id


def test_attached_trace_ends_with_its_block() -> None:
    outer, inner = trace.continued(None), trace.continued(None)
    with trace.attached(outer, correlation="a"):
        with trace.attached(inner):
            assert trace.current() == inner
            assert trace.correlation_id() is None
        assert trace.current() == outer
        assert trace.correlation_id() == "a"
    assert trace.current() is None
