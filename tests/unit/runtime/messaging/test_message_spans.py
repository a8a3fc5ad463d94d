from __future__ import annotations

import datetime as dt
from dataclasses import replace

from contracts.envelope import Envelope, Event
from contracts.facts import CATALOGUE, Fact
from contracts.topology import DEAD_LETTERS, REPLICA_QUEUES, SERVICES, hub_topology, topic_matches
from runtime.messaging.message_spans import MessageSpans
from runtime.messaging.outbox.event_batch import decode_batch, encode_batch
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from runtime.telemetry import trace
from runtime.telemetry.spans import Span
from tests.golden_messages.examples import EXAMPLES

START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
REQUEST = trace.Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")


def publish(spans: MessageSpans, message: Outgoing, now: dt.datetime = START) -> None:
    spans.published(message.exchange, decode_batch(message.body), now)


class Kept:
    """Keeps every span."""

    def __init__(self, *, all_traces: bool = True) -> None:
        self.spans: list[Span] = []
        self._all_traces = all_traces

    def samples(self, _trace: trace.Trace) -> bool:
        return self._all_traces

    def add(self, span: Span) -> None:
        self.spans.append(span)


def event(type_: str, *, source: str, traceparent: str | None, id: str = "m-1") -> Event[Fact]:
    fact = EXAMPLES[type_].data
    return Event(
        id=id,
        source=source,
        time=START,
        partition_key="secret-referral",
        correlation_id="c-1",
        causation_id=None,
        data=fact,
        traceparent=traceparent,
    )


SUBMITTED = event("kopuro.referral.submitted.v1", source="/kg/intake", traceparent=str(REQUEST))


def test_spans_follow_the_causation_from_request_to_effect() -> None:
    intake, routing, delivery = Kept(), Kept(), Kept()
    now = START + dt.timedelta(seconds=2)
    publish(MessageSpans("/kg/intake", intake), outgoing(SUBMITTED), now)
    MessageSpans("/kg/routing", routing).handled(
        "routing", [SUBMITTED], result="applied", started=START, ended=now
    )
    opened = event(
        "kopuro.offer.opened.v1",
        source="/kg/routing",
        traceparent=trace.caused_by(SUBMITTED.traceparent, "/kg/routing", SUBMITTED.id),
        id="m-2",
    )
    publish(MessageSpans("/kg/routing", routing), outgoing(opened), now)
    MessageSpans("/kg/delivery", delivery).handled(
        "delivery.events", [Envelope.decode(opened.encode())], result="applied", started=START, ended=now
    )

    chain = [*intake.spans, *routing.spans, *delivery.spans]
    assert [span.name for span in chain] == [
        "publish kopuro.referral.submitted.v1",
        "process kopuro.referral.submitted.v1",
        "publish kopuro.offer.opened.v1",
        "process kopuro.offer.opened.v1",
    ]
    assert [span.parent_id for span in chain] == [
        REQUEST.span_id,
        *(span.trace.span_id for span in chain[:-1]),
    ]
    assert {span.trace.trace_id for span in chain} == {REQUEST.trace_id}
    assert chain[0].ended - chain[0].started == 2_000_000_000


def test_repetition_is_the_same_span() -> None:
    kept = Kept()
    for _ in range(2):
        publish(MessageSpans("/kg/intake", kept), outgoing(SUBMITTED))
    assert kept.spans[0] == kept.spans[1]


def test_every_event_of_a_batch_has_a_span_of_its_own() -> None:
    kept = Kept()
    events = [replace(SUBMITTED, id=f"m-{n}") for n in range(3)]
    (batch,) = encode_batch([outgoing(one) for one in events])
    publish(MessageSpans("/kg/intake", kept), batch)
    assert len({span.trace.span_id for span in kept.spans}) == 3


def test_dead_letter_is_not_a_second_publication() -> None:
    kept = Kept()
    publish(MessageSpans("/kg/intake", kept), replace(outgoing(SUBMITTED), exchange=DEAD_LETTERS))
    publish(MessageSpans("/kg/routing", kept), outgoing(SUBMITTED))
    publish(MessageSpans("/kg/intake", kept), replace(outgoing(SUBMITTED), body=b"\xff"))
    assert kept.spans == []


def test_dead_lettered_message_is_a_failed_span() -> None:
    kept = Kept()
    MessageSpans("/kg/routing", kept).handled(
        "routing", [SUBMITTED], result="parked", started=START, ended=START
    )
    assert [(span.failed, span.attributes["kopuro.result"]) for span in kept.spans] == [(True, "parked")]


def test_message_without_a_trace_and_unsampled_trace_are_not_reported() -> None:
    kept, few = Kept(), Kept(all_traces=False)
    untraced = replace(SUBMITTED, traceparent=None)
    MessageSpans("/kg/routing", kept).handled(
        "routing", [untraced], result="applied", started=START, ended=START
    )
    MessageSpans("/kg/routing", few).handled(
        "routing", [SUBMITTED], result="applied", started=START, ended=START
    )
    publish(MessageSpans("/kg/intake", few), outgoing(SUBMITTED))
    assert (kept.spans, few.spans) == ([], [])


def test_replica_has_a_span_of_its_own() -> None:
    kept = Kept()
    changed = event("kopuro.organization.changed.v1", source="/kg/directory", traceparent=str(REQUEST))
    for consumer in ("audit.log", "audit.directory"):
        MessageSpans("/kg/audit", kept).handled(
            consumer, [changed], result="applied", started=START, ended=START
        )
    assert len({span.trace.span_id for span in kept.spans}) == 2


def test_one_consumer_of_a_service_takes_a_fact_besides_replicas() -> None:
    bindings = [one for one in hub_topology().bindings if one.destination not in REPLICA_QUEUES]
    for fact in CATALOGUE.values():
        for service in SERVICES:
            consumers = {
                one.destination.split(".")[0] if service == "routing" else one.destination
                for one in bindings
                if one.destination.split(".")[0] == service
                and one.source.startswith(fact.exchange)
                and topic_matches(one.key, fact.routing_key)
            }
            assert len(consumers) <= 1, (fact.type, consumers)


def test_no_message_content_reaches_a_span() -> None:
    kept = Kept()
    for example in EXAMPLES.values():
        traced = replace(example, traceparent=str(REQUEST), source="/kg/routing")
        publish(MessageSpans("/kg/routing", kept), outgoing(traced))
        MessageSpans("/kg/delivery", kept).handled(
            "delivery.events", [traced], result="applied", started=START, ended=START
        )
    assert len(kept.spans) > 50
    shown = {str(value) for span in kept.spans for value in (span.name, *span.attributes.values())}
    exchanges = {one.exchange for one in CATALOGUE.values()}
    allowed = {"rabbitmq", "send", "process", "delivery.events", "applied", "1"} | exchanges
    assert {one.removeprefix("publish ").removeprefix("process ") for one in shown} - allowed <= set(
        CATALOGUE
    )


def test_event_without_a_trace_continues_the_request_that_decided_it() -> None:
    decided = replace(SUBMITTED, traceparent=None)
    with trace.attached(REQUEST):
        assert Envelope.decode(outgoing(decided).body).traceparent == str(REQUEST)
    assert Envelope.decode(outgoing(decided).body).traceparent is None
