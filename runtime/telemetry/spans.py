"""Spans: the reports of traced requests, publications and handled messages.

A span says when work was done, by which service, on which kind of message or resource, and with which result.
Its attributes come from a closed list of names, and each value from a closed list in the code. Values are a
route's template, a status code, a fact type of the catalogue, an exchange or a consumer. No organisation,
referral, person or message is ever named.

Source: OpenTelemetry semantic conventions 1.40, HTTP server spans and messaging spans; docs/decisions/0056.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from runtime.telemetry.trace import Trace

# The trace id's last seven bytes are random (W3C Trace Context, level 2).
_RANDOM_BITS: Final = 56

# Every attribute that a span may have.
ATTRIBUTES: Final = frozenset(
    {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "messaging.system",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.consumer.group.name",
        "messaging.batch.message_count",
        "kopuro.fact",
        "kopuro.result",
    }
)


class SpanKind(StrEnum):
    """The role of the work in its trace."""

    internal = "internal"
    server = "server"
    producer = "producer"
    consumer = "consumer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A finished piece of work. started, ended: nanoseconds since 1970-01-01 UTC.

    parent_id: the span that caused it, None for the first of a trace. failed: whether the hub is at fault.
    """

    trace: Trace
    parent_id: str | None
    kind: SpanKind
    name: str
    started: int
    ended: int
    attributes: Mapping[str, str | int]
    failed: bool = False


class Spans(Protocol):
    """Takes finished spans.

    `add` neither waits nor raises: a span that cannot be kept is dropped and counted. The spans of a process
    that ends may be lost; nothing depends on them.
    """

    def samples(self, trace: Trace) -> bool:
        """Return whether the spans of the trace are reported. Every service decides alike."""
        ...

    def add(self, span: Span) -> None:
        """Report a span later."""
        ...


class NoSpans:
    """Reports nothing (tracing is off)."""

    def samples(self, _trace: Trace) -> bool:
        return False

    def add(self, span: Span) -> None:
        """Drop the span."""


def is_sampled(trace_id: str, ratio: float) -> bool:
    """Return whether a trace is among the reported ones. ratio: their share, above 0 and up to 1.

    The trace id alone decides, so that all services report the same traces. The caller's `sampled` flag is
    ignored: it belongs to the caller's own tracing.
    """
    return int(trace_id, 16) % (1 << _RANDOM_BITS) < ratio * (1 << _RANDOM_BITS)


def request_span(
    at: Trace, parent: Trace | None, *, method: str, route: str, status: int, started: int, ended: int
) -> Span:
    """Return the span of an answered request. route: the template, never the path as sent."""
    return Span(
        trace=at,
        parent_id=None if parent is None else parent.span_id,
        kind=SpanKind.server,
        name=f"{method} {route}",
        started=started,
        ended=ended,
        attributes={
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        },
        failed=status >= 500,
    )


def publication_span(at: Trace, parent: Trace, *, fact: str, exchange: str, started: int, ended: int) -> Span:
    """Return the span of a published event, from the decision to the broker's confirm."""
    return Span(
        trace=at,
        parent_id=parent.span_id,
        kind=SpanKind.producer,
        name=f"publish {fact}",
        started=started,
        ended=max(started, ended),  # the clock may have been set back
        attributes={
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.destination.name": exchange,
            "kopuro.fact": fact,
        },
    )


def beginning_span(at: Trace, *, fact: str, started: int, ended: int) -> Span:
    """Return the first span of a trace that begins within a request of another one.

    fact: the first one that it publishes.
    """
    return Span(
        trace=at,
        parent_id=None,
        kind=SpanKind.internal,
        name=f"begin {fact}",
        started=started,
        ended=max(started, ended),
        attributes={"kopuro.fact": fact},
    )


def decision_span(at: Trace, parent: Trace, *, fact: str, started: int, ended: int) -> Span:
    """Return the span of a decision that no message of its trace caused, such as one at a deadline.

    It ends with the commit.

    fact: the first one that it published.
    """
    return Span(
        trace=at,
        parent_id=parent.span_id,
        kind=SpanKind.internal,
        name=f"decide {fact}",
        started=started,
        ended=max(started, ended),
        attributes={"kopuro.fact": fact},
    )


def handling_span(
    at: Trace,
    parent: Trace,
    *,
    fact: str,
    consumer: str,
    batch: int,
    result: str,
    started: int,
    ended: int,
) -> Span:
    """Return the span of a handled event, from the start of its batch to the commit.

    batch: the number of messages that share the transaction. result: a label of `metrics.RESULTS`.
    """
    return Span(
        trace=at,
        parent_id=parent.span_id,
        kind=SpanKind.consumer,
        name=f"process {fact}",
        started=started,
        ended=max(started, ended),
        attributes={
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": consumer,
            "messaging.consumer.group.name": consumer,
            "messaging.batch.message_count": batch,
            "kopuro.fact": fact,
            "kopuro.result": result,
        },
        failed=result == "parked",
    )
