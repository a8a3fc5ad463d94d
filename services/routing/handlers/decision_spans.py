"""The spans of decisions that no message of the referral's trace causes.

They are caused by deadlines, changes of the directory and reports, and by messages of another trace, such as
an answer that its author traces itself.

The spans continue the trace of the referral's submission, so that a trace shows what happened to a referral
whose offers nobody answered. Each is reported after its transaction has committed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.clock import Clock
from runtime.telemetry.spans import NoSpans, Spans, decision_span
from runtime.telemetry.trace import Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A decision. at: its span; parent: the span that it continues; fact: the type of its first fact."""

    at: Trace
    parent: Trace
    fact: str
    time: dt.datetime


class DecisionSpans:
    """Reports decisions. Without tracing, it reports nothing."""

    def __init__(self, clock: Clock, spans: Spans | None = None) -> None:
        """spans: None when tracing is off."""
        self._clock = clock
        self._spans = spans or NoSpans()

    def report(self, decided: Sequence[Decided]) -> None:
        """Report decisions that have just been committed."""
        for one in decided:
            if self._spans.samples(one.parent):
                span = decision_span(
                    one.at,
                    one.parent,
                    fact=one.fact,
                    started=_nanoseconds(one.time),
                    ended=_nanoseconds(self._clock.now()),
                )
                self._spans.add(span)


def not_reported(_decided: Sequence[Decided]) -> None:
    """Report nothing: tracing is off."""


def _nanoseconds(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
