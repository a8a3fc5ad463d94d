"""Dead-letter queues, for an operator to inspect, replay or discard their messages.

A replay loses nothing. Its crash points, in order:

1. *published, not yet confirmed*, or *confirmed, not yet removed*: the message is in its original queue and
in
   the dead-letter queue. When it is replayed again, the inbox recognises it.
2. *removed*: the message is only in its original queue.

A dead letter is not in its consumer's inbox (the failed transaction rolled its row back), so it takes effect
when replayed, after the consumer has verified its signature again. It then comes after every newer message
with its partition key. A message that fails again is dead-lettered again and keeps the time it was first
seen.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts.envelope import Envelope
from contracts.errors import Refused
from contracts.facts import CATALOGUE
from contracts.records import Malformed
from contracts.topology import DEAD_LETTER_SUFFIX, REPLAYS, Topology, dead_letter_queue_name
from runtime.messaging.dead_letters.browsing import Browse, Browsed, Browser
from runtime.messaging.dead_letters.dead_letter import EXCHANGE, FIRST_SEEN, QUEUE, REASON
from runtime.messaging.headers import SIGNED, UNDECODABLE_PROPERTIES
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.ports import Outgoing, Publisher, PublishIncomplete

# The messages published back at a time; fewer when they are large.
WAVE = 100
WAVE_BYTES = 16 * 1024 * 1024
# The classifications of `contracts.facts` that an operator may read.
OPEN = ("public", "routing-facts")

_DEATHS = "x-death"
_PARTITION_KEY = "partitionkey"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A dead letter without its content.

    origin: the queue it came from, exchange: that it was published to; None when unknown. first_seen: RFC
    3339. events: the events in it, None for one that is not a valid CloudEvent; more than one only when the
    broker dead-lettered an event batch, because our own dead-lettering splits batches.
    """

    number: int
    consumer: str
    message_id: str
    reason: str
    first_seen: str | None
    origin: str | None
    exchange: str | None
    partition_key: str
    size: int
    events: tuple[EventSummary | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSummary:
    """The envelope attributes that help to find the cause."""

    id: str
    type: str
    source: str
    time: dt.datetime
    partition_key: str
    correlation_id: str
    causation_id: str | None
    traceparent: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A dead letter with the data of each event; None for data that is sealed or not classified as open."""

    letter: DeadLetter
    data: tuple[Mapping[str, Any] | None, ...] = field(repr=False)
    digest: bytes  # SHA-256 of the body: two dead letters with one id may differ


def describe(consumer: str, message: Browsed) -> DeadLetter:
    """Describe a dead letter from the headers that we set, else from those that the broker sets.

    Source: RabbitMQ, "Dead Letter Exchanges", effects on messages (`x-death`: the latest first).
    """
    death = _latest_death(message.headers)
    first_seen = message.headers.get(FIRST_SEEN)
    if first_seen is None and isinstance(moment := death.get("time"), dt.datetime):
        first_seen = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).isoformat()
    reason = message.headers.get(REASON)
    if reason is None and UNDECODABLE_PROPERTIES in message.headers:
        reason = "its AMQP properties cannot be decoded"
    if reason is None:
        reason = f"dead-lettered by the broker: {death['reason']}" if "reason" in death else "unknown"
    origin = message.headers.get(QUEUE) or death.get("queue")
    # The broker dead-letters a message with its author's headers, which may name another exchange.
    exchange = death.get("exchange") if death else message.headers.get(EXCHANGE)
    return DeadLetter(
        number=message.number,
        consumer=consumer,
        message_id=message.message_id,
        reason=str(reason),
        first_seen=None if first_seen is None else str(first_seen),
        origin=None if origin is None else str(origin),
        exchange=None if exchange is None else str(exchange),
        partition_key=str(message.headers.get(_PARTITION_KEY, "")),
        size=len(message.body),
        events=tuple(map(_summary, decode_batch(message.body))),
    )


def open_data(body: bytes) -> Mapping[str, Any] | None:
    """Return the event's data if its own attribute and the catalogue both classify it as open."""
    try:
        envelope = Envelope.decode(body)
    except Malformed:
        return None
    stated = orjson.loads(body).get("dataclassification")
    known = CATALOGUE.get(envelope.type)
    candidates = [stated, known and known.classification]
    classifications = [one for one in candidates if one is not None]
    return envelope.data if classifications and all(one in OPEN for one in classifications) else None


class DeadLetters:
    """The dead-letter queues of one hub."""

    def __init__(self, *, browse: Browse, publisher: Publisher, topology: Topology) -> None:
        self._browse = browse
        self._publisher = publisher
        names = (queue.name for queue in topology.queues)
        # Each consumer with a dead-letter queue, in the topology's order.
        self.consumers = tuple(
            n.removesuffix(DEAD_LETTER_SUFFIX) for n in names if n.endswith(DEAD_LETTER_SUFFIX)
        )

    def of(self, consumer: str) -> Iterator[DeadLetter]:
        """Yield the consumer's dead letters, oldest first.

        Raises Refused (unknown consumer or queue), Unavailable, BrokerUnavailable.
        """
        with self._look(consumer) as browser:
            for message in browser.messages():
                yield describe(consumer, message)

    def open(self, consumer: str, message_id: str, *, number: int | None = None) -> Opened:
        """Return one dead letter. number: its position, needed when different messages share an id.

        Raises as `of`, and Refused when no message or several different ones match.
        """
        with self._look(consumer) as browser:
            (message, *_) = _copies(browser.messages(), consumer, message_id, number)
        return Opened(
            letter=describe(consumer, message),
            data=tuple(map(open_data, decode_batch(message.body))),
            digest=_digest(message),
        )

    def replay(self, consumer: str, message_id: str, *, number: int | None = None) -> list[DeadLetter]:
        """Move one dead letter and its copies back to their original queue; return them.

        Raises as `open`, and Refused when the queue is unknown or gone: the dead letter then stays.
        """
        with self._look(consumer) as browser:
            copies = _copies(browser.messages(), consumer, message_id, number)
            return list(self._put_back(browser, consumer, copies))

    def replay_all(self, consumer: str, *, reason_contains: str = "") -> Iterator[DeadLetter]:
        """Move back, in order, all current dead letters whose reason contains the text.

        Yields each one after it has moved. Raises as `replay`: those not yielded have not moved.
        """
        with self._look(consumer) as browser:
            chosen = (
                message
                for message in browser.messages()
                if reason_contains in describe(consumer, message).reason
            )
            for wave in _waves(chosen):
                yield from self._put_back(browser, consumer, wave)

    def discard(
        self, consumer: str, message_id: str, *, number: int | None = None, digest: bytes | None = None
    ) -> list[DeadLetter]:
        """Delete one dead letter and its copies permanently; return them.

        digest: of the inspected dead letter; a different one in its place is not deleted. Raises as `open`.
        """
        with self._look(consumer) as browser:
            copies = _copies(browser.messages(), consumer, message_id, number)
            if digest is not None and _digest(copies[0]) != digest:
                raise Refused("conflict", f"{message_id} is not the message that was inspected.")
            browser.remove(copies)
        return [describe(consumer, copy) for copy in copies]

    def _look(self, consumer: str) -> AbstractContextManager[Browser]:
        if consumer not in self.consumers:
            known = ", ".join(self.consumers)
            raise Refused("not-found", f"There is no consumer {consumer!r}. The consumers are {known}.")
        return self._browse(dead_letter_queue_name(consumer))

    def _put_back(self, browser: Browser, consumer: str, messages: Sequence[Browsed]) -> Iterator[DeadLetter]:
        letters = [describe(consumer, message) for message in messages]
        known = next((n for n, letter in enumerate(letters) if letter.origin is None), len(letters))
        failure: Exception | None = None
        try:
            self._publisher.publish(
                [_as_it_was(*pair) for pair in zip(letters[:known], messages[:known], strict=True)]
            )
            confirmed = known
            if known < len(letters):
                failure = _stays(letters[known], "its original queue is unknown")
        except PublishIncomplete as error:
            confirmed = error.confirmed
            failure = error
            if error.unroutable is not None:
                failure = _stays(letters[confirmed], f"its queue {letters[confirmed].origin} does not exist")
        # Remove only confirmed messages: a crash before this line leaves duplicates, never a loss.
        browser.remove(messages[:confirmed])
        yield from letters[:confirmed]
        if failure is not None:
            raise failure


def _waves(messages: Iterable[Browsed]) -> Iterator[list[Browsed]]:
    wave: list[Browsed] = []
    size = 0
    for message in messages:
        wave.append(message)
        size += len(message.body)
        if len(wave) == WAVE or size >= WAVE_BYTES:
            yield wave
            wave, size = [], 0
    if wave:
        yield wave


def _as_it_was(letter: DeadLetter, message: Browsed) -> Outgoing:
    assert letter.origin is not None
    # Keep the time of the first failure, in case it is dead-lettered again, and the author's signature.
    headers = {} if letter.first_seen is None else {FIRST_SEEN: letter.first_seen}
    if (proof := message.headers.get(SIGNED)) is not None:
        headers[SIGNED] = str(proof)
    return Outgoing(
        exchange=REPLAYS,
        routing_key=letter.origin,
        message_id=letter.message_id,
        partition_key=letter.partition_key,
        body=message.body,
        headers=headers,
    )


def _stays(letter: DeadLetter, why: str) -> Refused:
    return Refused(
        "conflict", f"{letter.message_id} stays in {dead_letter_queue_name(letter.consumer)}: {why}."
    )


def _copies(messages: Iterable[Browsed], consumer: str, message_id: str, number: int | None) -> list[Browsed]:
    # A dead-letter queue has no inbox, so after a crash it can contain the same message twice, and messages
    # that came without an id share one. So id and bytes together identify a message.
    named = [message for message in messages if message.message_id == message_id]
    if not named:
        raise Refused("not-found", f"{dead_letter_queue_name(consumer)} contains no message {message_id}.")
    if number is not None:
        pointed = next((message for message in named if message.number == number), None)
        if pointed is None:
            raise Refused(
                "not-found",
                f"Message number {number} in {dead_letter_queue_name(consumer)} is not {message_id}.",
            )
        return [message for message in named if message.body == pointed.body]
    if any(message.body != named[0].body for message in named):
        places = ", ".join(str(message.number) for message in named)
        raise Refused(
            "conflict", f"Several different messages have the id {message_id}: choose a number ({places})."
        )
    return named


def _digest(message: Browsed) -> bytes:
    return hashlib.sha256(message.body).digest()


def _latest_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    deaths = headers.get(_DEATHS)
    latest = deaths[0] if isinstance(deaths, list) and deaths else {}
    return latest if isinstance(latest, Mapping) else {}


def _summary(body: bytes) -> EventSummary | None:
    try:
        envelope = Envelope.decode(body)
    except Malformed:
        return None
    return EventSummary(
        id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        time=envelope.time,
        partition_key=envelope.partition_key,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        traceparent=envelope.traceparent,
    )
