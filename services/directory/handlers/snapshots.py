"""Snapshots of the directory for new replicas, sent directly to the replica's queue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect
from contracts.facts import Fact, ReplicaCompleted, ReplicaRequested
from contracts.topology import SNAPSHOTS
from runtime.identifiers import new_id
from runtime.messaging.ports import Outgoing
from runtime.telemetry.trace import caused_by
from services.directory.domain.full_state import full_state, subjects_for
from services.directory.ports import Register


class Snapshots:
    """A `batches.BatchHandler` for `replica.requested`.

    The events have new ids, so that inboxes do not take them for the events that were published when the
    entries changed. A change that commits meanwhile follows as an event with a higher revision.
    """

    def __init__(self, register: Register, source: str) -> None:
        self._register = register
        self._source = source

    def answer(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterator[Outgoing]:
        """Yield the snapshot messages. Raises Defect, a dead letter, if the queue is not a replica's."""
        requests: dict[str, Event[Fact]] = {}
        for message in messages:
            if not isinstance(message.data, ReplicaRequested) or not any(subjects_for(message.data.queue)):
                raise Defect("The queue of the snapshot request is not a replica's.")
            # A service that started twice has sent two requests and needs one snapshot.
            requests[message.data.queue] = message
        for queue, request in requests.items():
            yield from self._snapshot(transaction, queue, request, now)

    def _snapshot(
        self, transaction: Connection, queue: str, request: Event[Fact], now: dt.datetime
    ) -> Iterator[Outgoing]:
        count = 0
        for subject in subjects_for(queue):
            for standing in self._register.every(transaction, subject):
                count += 1
                yield self._message(full_state(standing), standing.entry.id, queue, request, now)
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
            traceparent=caused_by(request.traceparent, self._source, request.id),
        )
        return Outgoing(
            exchange=SNAPSHOTS,
            routing_key=queue,
            message_id=event.id,
            partition_key=key,
            body=event.encode(),
        )
