"""Snapshots: a service without a copy yet is sent every entry it takes, straight to its queue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect
from contracts.facts import Fact, ReplicaCompleted, ReplicaRequested
from contracts.topology import DIRECT
from runtime.identifiers import new_id
from runtime.messaging.ports import Outgoing
from services.directory.domain.full_state import full_state, subjects_for
from services.directory.ports import Register


class Snapshots:
    """A `batches.BatchHandler` for `replica.requested`.

    The events have ids of their own: inboxes must not take them for those that were sent when the
    entries changed. A change that commits meanwhile follows as an event with a higher revision.
    """

    def __init__(self, register: Register, source: str) -> None:
        self._register = register
        self._source = source

    def answer(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterator[Outgoing]:
        """Raises Defect for a queue that is no replica's: the request is parked."""
        requests: dict[str, Event[Fact]] = {}
        for message in messages:
            if not isinstance(message.data, ReplicaRequested) or not any(subjects_for(message.data.queue)):
                raise Defect("A snapshot was asked for a queue that takes no replica.")
            # One that started twice asked twice, and needs one answer.
            requests[message.data.queue] = message
        for queue, request in requests.items():
            yield from self._snapshot(transaction, queue, request, now)

    def _snapshot(
        self, transaction: Connection, queue: str, request: Event[Fact], now: dt.datetime
    ) -> Iterator[Outgoing]:
        count = 0
        for subject in subjects_for(queue):
            for standing in self._register.every(transaction, subject):
                fact = full_state(standing)
                if fact is not None:
                    count += 1
                    yield self._message(fact, standing.entry.id, queue, request, now)
        completed = ReplicaCompleted(queue=queue, records=count)
        yield self._message(completed, queue, queue, request, now)

    def _message(self, fact: Fact, key: str, queue: str, request: Event[Fact], now: dt.datetime) -> Outgoing:
        event = Event(
            id=new_id(),
            source=self._source,
            time=now,
            partition_key=key,
            correlation_id=request.correlation_id,
            causation_id=request.id,
            data=fact,
            traceparent=request.traceparent,
        )
        return Outgoing(
            exchange=DIRECT,
            routing_key=queue,
            message_id=event.id,
            partition_key=key,
            body=event.encode(),
        )
