"""A fake browser of queues on the in-memory broker. One behaviour suite tests it and RabbitMQ's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contracts.errors import Refused, Unavailable
from runtime.messaging.dead_letters.browsing import Browsed
from runtime.messaging.memory import MemoryBroker, PublishedMessage


class MemoryBrowsers:
    """Opens browsers of a broker's queues: a `browsing.Browse`. It does not wait for another browser."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._browsed: set[str] = set()

    @contextmanager
    def __call__(self, queue: str) -> Iterator[MemoryBrowser]:
        """See `browsing.Browse`."""
        if queue not in self._broker.queues:
            raise Refused("not-found", f"The queue {queue} does not exist.")
        if queue in self._browsed:
            raise Unavailable(f"Another process is browsing {queue}. Try again.")
        self._browsed.add(queue)
        browser = MemoryBrowser(self._broker, queue)
        try:
            yield browser
        finally:
            browser.end()
            self._browsed.remove(queue)


class MemoryBrowser:
    """See `browsing.Browser`."""

    def __init__(self, broker: MemoryBroker, queue: str) -> None:
        self._broker = broker
        self._queue = broker.queues[queue]
        self._held: dict[int, PublishedMessage] = {}

    def messages(self) -> Iterator[Browsed]:
        """See `browsing.Browser`."""
        with self._broker.changed:
            self._held = {number: message for number, (message, _) in enumerate(self._queue.ready, 1)}
            self._queue.ready.clear()
        for number, published in list(self._held.items()):
            message = published.message
            yield Browsed(
                number=number,
                tag=number,
                message_id=message.message_id,
                headers=message.all_headers,
                body=message.body,
            )

    def remove(self, messages: Sequence[Browsed]) -> None:
        """See `browsing.Browser`."""
        for message in messages:
            del self._held[message.tag]

    def end(self) -> None:
        """Return the messages that were not removed to their places."""
        with self._broker.changed:
            self._queue.ready.extendleft((message, True) for message in reversed(self._held.values()))
            self._broker.changed.notify_all()
