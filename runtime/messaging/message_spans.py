"""The spans of a service's messages: one when the broker confirms an event, one when a consumer commits it.

The ids of these spans follow from the event's identity, so a repetition after a crash reports the same span,
and no message needs a field besides its `traceparent`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from contracts.envelope import Envelope
from contracts.facts import CATALOGUE
from contracts.records import Malformed
from contracts.topology import REPLICA_QUEUES
from runtime.telemetry import trace
from runtime.telemetry.spans import NoSpans, Spans, handling_span, publication_span


class MessageSpans:
    """Reports the messages of one service. Without tracing, its methods return at once."""

    def __init__(self, source: str, spans: Spans | None = None) -> None:
        """source: the CloudEvents source of the service's events. spans: None when tracing is off."""
        self._source = source
        self._spans = spans or NoSpans()
        self.is_on = spans is not None

    def published(self, exchange: str, events: Iterable[bytes], now: dt.datetime) -> None:
        """Report the service's own events in a confirmed message. now: when it was confirmed."""
        if not self.is_on:
            return
        for body in events:
            try:
                event = Envelope.decode(body)
            except Malformed:
                continue  # a dead letter of bytes that are not an event
            fact = CATALOGUE.get(event.type)
            # A dead letter, or an event that is offered to the log again, was published before.
            if fact is None or event.source != self._source or exchange != fact.exchange:
                continue
            parent = trace.parse(event.traceparent)
            if parent is not None and self._spans.samples(parent):
                self._spans.add(
                    publication_span(
                        trace.publishing(parent, event.source, event.id),
                        parent,
                        fact=event.type,
                        exchange=exchange,
                        started=_nanoseconds(event.time),
                        ended=_nanoseconds(now),
                    )
                )

    def handled(
        self,
        consumer: str,
        messages: Sequence[Any],
        *,
        result: str,
        started: dt.datetime,
        ended: dt.datetime,
    ) -> None:
        """Report messages that took effect in one transaction, or one that was dead-lettered.

        Messages without a traceparent, and of a type outside the catalogue, are not reported.
        """
        if not self.is_on:
            return
        own = consumer if consumer in REPLICA_QUEUES else ""
        for message in messages:
            decided = trace.parse(getattr(message, "traceparent", None))
            if decided is None or message.type not in CATALOGUE or not self._spans.samples(decided):
                continue
            self._spans.add(
                handling_span(
                    trace.handling(decided, self._source, message.id, consumer=own),
                    trace.publishing(decided, message.source, message.id),
                    fact=message.type,
                    consumer=consumer,
                    batch=len(messages),
                    result=result,
                    started=_nanoseconds(started),
                    ended=_nanoseconds(ended),
                )
            )


def _nanoseconds(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
