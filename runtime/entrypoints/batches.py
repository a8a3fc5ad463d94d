"""`@batches`: the nameko entrypoint that consumes batches of messages.

    @batches("delivery.events")
    def events(self, deliveries):
        self.handlers.events.process(deliveries)

The method receives the messages that have arrived, up to a limit, and returns when every effect is committed.
Only then is the batch acknowledged, with one `multiple` ack. When the method raises Unavailable (the database
is unreachable), nothing is acknowledged: the connection is closed, and the messages return to their queues.
The broker counts each return and dead-letters a message that has returned too often. So a copy of the failed
batch is kept, and no new messages are taken until the method has succeeded for that copy.
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
from runtime.messaging.messenger import Messenger
from runtime.messaging.ports import BrokerUnavailable, Consumer, Delivery

_log = logging.getLogger(__name__)

BATCH = 200
# Messages prefetched while a batch is processed; each may be an event batch.
PREFETCH = BATCH
# An idle consumer wakes up this often, and sends its heartbeats then. A stop ends the wait.
TAKE_SECONDS = 2.5
QUEUES_SECONDS = 0.5  # between two looks for a stop while the broker lacks queues
BATCH_INTERVAL_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 5.0


class Batches(Entrypoint):  # type: ignore[misc]  # nameko has no types
    """Takes batches from its queues in its own greenlet and passes each to a worker."""

    def __init__(self, *queues: str, interval: float = BATCH_INTERVAL_SECONDS) -> None:
        super().__init__()
        self._queues = queues
        self._throttle = BatchThrottle(interval)
        # Without an interval a caller waits for each message, and none of them is written.
        self._gathers = interval > 0
        self._failed: Sequence[Delivery] = ()
        self._stopping = False
        self._consumer: Consumer | None = None
        self._ended: Event | None = None

    def start(self) -> None:
        self._ended = Event()
        self.container.spawn_managed_thread(self._run, identifier=f"batches {self._queues[0]}")

    def stop(self) -> None:
        """Stop; return when the current batch is processed and acknowledged."""
        self._end()
        if self._ended is not None:
            self._ended.wait()

    def kill(self) -> None:
        self._end()

    def _end(self) -> None:
        self._stopping = True
        if self._consumer is not None:
            self._consumer.end_waiting()

    def _run(self) -> None:
        application: Application[Any] = self.container.config[APPLICATION]
        messenger = application.messenger
        if messenger is None:
            raise Defect(f"The service {application.name} consumes messages but has no messenger.")
        consumer = self._consumer = messenger.broker.consumer(self._queues, PREFETCH)
        stalled_loops, loop = messenger.stalled_loops, f"consumer of {self._queues[0]}"
        pause = 0.0
        try:
            while not self._stopping and not messenger.await_queues(QUEUES_SECONDS):
                pass
            while not self._stopping:
                try:
                    self._once(consumer, messenger)
                    pause = 0.0
                    stalled_loops.resumed(loop)
                except Unavailable as error:
                    # Nothing is lost: the broker keeps unacknowledged messages.
                    consumer.close()
                    pause = min(max(0.2, pause * 2), LONGEST_PAUSE_SECONDS)
                    _log.warning("consumer paused", extra={"reason": str(error), "seconds": pause})
                    stalled_loops.stalled(loop, str(error))
                    self._pause(pause)
        finally:
            consumer.close()
            if self._ended is not None:
                self._ended.send()

    def _once(self, consumer: Consumer, messenger: Messenger) -> None:
        if self._failed:
            self._work(self._failed)
            # Its messages are redelivered, and the inbox (in audit: the log) recognises them.
            self._failed = ()
        self._throttle.wait()
        if self._gathers:
            messenger.await_writer()
        deliveries = consumer.take(BATCH, TAKE_SECONDS)
        if deliveries:
            self._throttle.begin()
            self._process(deliveries)
            # Committed, not yet acknowledged: after a crash here the batch is redelivered and recognised.
            consumer.acknowledge(deliveries)
            self._throttle.end(full=len(deliveries) >= BATCH)

    def _process(self, deliveries: Sequence[Delivery]) -> None:
        try:
            self._work(deliveries)
        except BrokerUnavailable:
            raise  # only a new connection helps
        except Unavailable:
            self._failed = deliveries
            raise

    def _work(self, deliveries: Sequence[Delivery]) -> None:
        done = Event()

        def deliver(_worker: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
            done.send(result, exc_info)
            # hide the exception from nameko, which would log its text; we report it ourselves
            return result, None

        try:
            self.container.spawn_worker(self, (deliveries,), {}, handle_result=deliver)
        except ContainerBeingKilled:
            raise Unavailable("The service is stopping.") from None
        done.wait()

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._stopping:
            eventlet.sleep(min(seconds, 0.2))
            seconds -= 0.2


def batches(
    *queues: str, interval: float = BATCH_INTERVAL_SECONDS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make the decorated method process the messages of the queues, batch by batch.

    interval: the minimum seconds between batches; longer where no caller waits for the effect.
    """
    decorate: Callable[[Callable[..., None]], Callable[..., None]] = Batches.decorator(
        *queues, interval=interval
    )
    return decorate
