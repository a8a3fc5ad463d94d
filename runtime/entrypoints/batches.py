"""`@batches`: the nameko entrypoint that consumes whole batches.

    @batches("delivery.events")
    def events(self, deliveries):
        self.handlers.events.process(deliveries)

The method is given what has arrived, up to a limit, and returns when every effect is committed. Only then
is the batch acknowledged, with one `multiple` ack. When the method raises Unavailable (the database cannot
be reached), nothing is acknowledged: the connection is closed, and everything goes back to its queue. The
broker counts that, and parks what has gone back too often. So nothing is taken again before the method has
returned for the very batch that failed, of which a copy is kept here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import eventlet
from eventlet.event import Event
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import Entrypoint

from contracts.errors import Defect, Unavailable
from runtime.application import APPLICATION, Application
from runtime.messaging.batch_throttle import BatchThrottle
from runtime.messaging.ports import BrokerUnavailable, Consumer, Delivery

_log = logging.getLogger(__name__)

BATCH = 200
# Messages that are under way here while a batch is being processed; each may be a parcel of events.
PREFETCH = BATCH
TAKE_SECONDS = 0.5
BATCH_INTERVAL_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 5.0


class Batches(Entrypoint):  # type: ignore[misc]  # nameko has no types
    """Takes batches from some queues in a greenlet of its own and gives each to a worker."""

    def __init__(self, *queues: str, interval: float = BATCH_INTERVAL_SECONDS) -> None:
        super().__init__()
        self._queues = queues
        self._throttle = BatchThrottle(interval)
        self._failed: Sequence[Delivery] = ()
        self._stopping = False
        self._ended: Event | None = None

    def start(self) -> None:
        self._ended = Event()
        self.container.spawn_managed_thread(self._run, identifier=f"batches {self._queues[0]}")

    def stop(self) -> None:
        """Ends when the batch under way is processed and acknowledged."""
        self._stopping = True
        if self._ended is not None:
            self._ended.wait()

    def kill(self) -> None:
        self._stopping = True

    def _run(self) -> None:
        application: Application[Any] = self.container.config[APPLICATION]
        messenger = application.messenger
        if messenger is None:
            raise Defect(f"The service {application.name} consumes messages and has no messenger.")
        consumer = messenger.broker.consumer(self._queues, PREFETCH)
        stalled_loops, loop = messenger.stalled_loops, f"consumer of {self._queues[0]}"
        pause = 0.0
        try:
            while not self._stopping and not messenger.await_queues(TAKE_SECONDS):
                pass
            while not self._stopping:
                try:
                    self._once(consumer)
                    pause = 0.0
                    stalled_loops.resumed(loop)
                except Unavailable as error:
                    # Nothing is lost: what was not acknowledged is with the broker.
                    consumer.close()
                    pause = min(max(0.2, pause * 2), LONGEST_PAUSE_SECONDS)
                    _log.warning("consumer paused", extra={"reason": str(error), "seconds": pause})
                    stalled_loops.stalled(loop, str(error))
                    self._pause(pause)
        finally:
            consumer.close()
            if self._ended is not None:
                self._ended.send()

    def _once(self, consumer: Consumer) -> None:
        if self._failed:
            self._work(self._failed)
            # Its messages come once more, to an inbox (in audit: to a log) that knows them.
            self._failed = ()
        self._throttle.wait()
        deliveries = consumer.take(BATCH, TAKE_SECONDS)
        self._throttle.start(full=len(deliveries) >= BATCH)
        if deliveries:
            self._process(deliveries)
            # Committed, not yet acknowledged: a crash here delivers the batch again, likewise.
            consumer.acknowledge(deliveries)

    def _process(self, deliveries: Sequence[Delivery]) -> None:
        try:
            self._work(deliveries)
        except BrokerUnavailable:
            raise  # here only connecting again helps
        except Unavailable:
            self._failed = deliveries
            raise

    def _work(self, deliveries: Sequence[Delivery]) -> None:
        done = Event()

        def deliver(_worker: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
            done.send(result, exc_info)
            # nameko would log the exception with its text; it is ours to report
            return result, None

        try:
            self.container.spawn_worker(self, (deliveries,), {}, handle_result=deliver)
        except ContainerBeingKilled:
            raise Unavailable("This service is stopping.") from None
        done.wait()

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._stopping:
            eventlet.sleep(min(seconds, 0.2))
            seconds -= 0.2


def batches(
    *queues: str, interval: float = BATCH_INTERVAL_SECONDS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Have the decorated method process what arrives in the queues, batch by batch.

    interval: seconds from one batch to the next at the least; more where nobody waits for the effect.
    """
    decorate: Callable[[Callable[..., None]], Callable[..., None]] = Batches.decorator(
        *queues, interval=interval
    )
    return decorate
