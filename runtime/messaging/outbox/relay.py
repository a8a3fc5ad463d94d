"""The relay: signs the outbox's messages and publishes them in order, in waves with pipelined confirms."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from runtime.clock import Clock, SystemClock
from runtime.messaging.batch_throttle import BatchThrottle
from runtime.messaging.message_spans import MessageSpans
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox import event_batch
from runtime.messaging.outbox.outbox import WAVE_BYTES, Outbox
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Broker, BrokerUnavailable, Outgoing, PublishIncomplete
from runtime.messaging.stalled_loops import StalledLoops
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.exclusive_lock import ExclusiveLock

_log = logging.getLogger(__name__)

WAVE = 500
# An idle relay polls its outbox this often, because another process may have written to it: it reads it if
# something was committed, and at every LOOKS_BETWEEN_READS-th look.
IDLE_SECONDS = 1.0
LOOKS_BETWEEN_READS = 10
BATCH_INTERVAL_SECONDS = 0.01
# Each wave is signed once, and each of its consumers verifies that signature once. So under load, when a wave
# has this many events, fewer and larger waves are worth a delay.
BUSY_EVENTS = 10
BUSY_INTERVAL_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 5.0
# The number of the publishing lock in the database; it only has to be unique.
_PUBLISHING = 0x6B6F7075726F


class Relay:
    """The relay of one outbox. Only one relay per database publishes; while none does, nothing is lost."""

    def __init__(
        self,
        *,
        database: Database,
        outbox: Outbox,
        broker: Broker,
        signer: WaveSigner,
        metrics: MessagingMetrics,
        stalled_loops: StalledLoops,
        obstacle: Callable[[], str | None] = lambda: None,
        on_unroutable: Callable[[], None] = lambda: None,
        on_confirmed: Callable[[Connection, Sequence[Outgoing]], None] = lambda _transaction, _messages: None,
        spans: MessageSpans | None = None,
        clock: Clock | None = None,
    ) -> None:
        """obstacle: returns why nothing may be published now; None when nothing is in the way.

        on_unroutable: called when a message is unroutable, because the broker may have lost its queues.
        on_confirmed: called with confirmed messages in the transaction that deletes them.
        spans: receives confirmed messages, for traces; clock: when they were confirmed.
        """
        self._obstacle = obstacle
        self._on_unroutable = on_unroutable
        self._on_confirmed = on_confirmed
        self._spans = spans or MessageSpans("")
        self._clock = clock or SystemClock()
        self._signer = signer
        self._database = database
        self._outbox = outbox
        self._metrics = metrics
        self._stalled_loops = stalled_loops
        self._turn = ExclusiveLock(database, _PUBLISHING)
        self._publisher = broker.publisher()
        self._wake = threading.Event()
        self._events_in_wave = 0
        # Whether the last wave had all messages of the outbox.
        self._is_emptied = False
        # The version of the database before the last read without a wake-up.
        self._version: object = None
        self._stopping = False
        self._ended = threading.Event()
        self._ended.set()

    def wake(self) -> None:
        """Wake the relay after a commit to the outbox."""
        self._wake.set()

    def publish_wave(self) -> int:
        """Publish the oldest messages and delete the confirmed ones; return how many.

        Raises PublishIncomplete or BrokerUnavailable after deleting the messages confirmed before the
        failure, and DatabaseUnavailable.
        """
        self._events_in_wave = 0
        self._database.await_writer()
        with self._database.read() as transaction:
            waiting = self._outbox.oldest(transaction, WAVE, WAVE_BYTES)
        size = sum(len(message.body) for _, message in waiting)
        self._is_emptied = len(waiting) < WAVE and size < WAVE_BYTES
        if not waiting:
            return 0
        if (obstacle := self._obstacle()) is not None:
            raise BrokerUnavailable(obstacle)
        started = time.monotonic()
        try:
            signed = self._signer.sign([message for _, message in waiting])
            waiting = [(number, message) for (number, _), message in zip(waiting, signed, strict=True)]
            self._publisher.publish(signed)
        except PublishIncomplete as error:
            self._forget(waiting[: error.confirmed])
            if error.unroutable is not None:
                self._on_unroutable()
            raise
        self._metrics.confirm_seconds.observe(time.monotonic() - started)
        self._forget(waiting)
        return len(waiting)

    def run(self) -> None:
        """Publish until `stop`, across outages of the broker and the database."""
        self._ended.clear()
        pause = 0.0
        throttle = BatchThrottle(BATCH_INTERVAL_SECONDS)
        try:
            while not self._stopping:
                throttle.wait()
                throttle.begin()
                self._wake.clear()
                if self._stopping:
                    break  # `stop` may have set both since the check above
                try:
                    # While another process holds the lock, it polls every second and finds our rows.
                    published = self.publish_wave() if self._turn.held() else 0
                    pause = 0.0
                    self._stalled_loops.resumed("relay")
                    is_busy = self._events_in_wave >= BUSY_EVENTS
                    is_full = published > 0 and not self._is_emptied
                    throttle.end(full=is_full, seconds=BUSY_INTERVAL_SECONDS if is_busy else None)
                except (BrokerUnavailable, DatabaseUnavailable) as error:
                    pause = min(max(0.2, pause * 2), LONGEST_PAUSE_SECONDS)
                    _log.warning("relay paused", extra={"reason": str(error), "seconds": pause})
                    self._metrics.relay_failures.inc()
                    self._stalled_loops.stalled("relay", str(error))
                    self._pause(pause)
                    continue
                # A message that was committed since the wave was read has set the event.
                if not published or self._is_emptied:
                    self._await_messages()
        finally:
            self._publisher.close()
            self._turn.release()
            self._ended.set()

    def _await_messages(self) -> None:
        """Wait until the outbox is worth a read, and keep the connection alive."""
        for _ in range(LOOKS_BETWEEN_READS):
            is_woken = self._wake.wait(IDLE_SECONDS)
            self._publisher.tend()
            if is_woken:
                return
            try:
                version = self._database.version()
            except DatabaseUnavailable:
                return  # the read will report it
            if version != self._version:
                self._version = version
                return

    def stop(self) -> None:
        """Stop `run` and wait for it; it finishes the current wave."""
        self._stopping = True
        self._wake.set()
        self._ended.wait()

    def _forget(self, confirmed: Sequence[tuple[int, Outgoing]]) -> None:
        # Confirmed, row not yet deleted: after a crash here they are published again, and the inboxes (and
        # audit's log) recognise them. For the same reason the deletion need not be durable.
        if confirmed:
            with self._database.write(durable=False) as transaction:
                self._outbox.forget(transaction, [number for number, _ in confirmed])
                self._on_confirmed(transaction, [message for _, message in confirmed])
            self._events_in_wave = sum(event_batch.event_count(message.body) for _, message in confirmed)
            self._metrics.published.inc(self._events_in_wave)
            if self._spans.is_on:
                now = self._clock.now()
                for _, message in confirmed:
                    self._spans.published(message.exchange, event_batch.decode_batch(message.body), now)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
