"""The loop that carries messages from a mailbox to a target."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from kopuro_client.errors import RefusedError
from kopuro_client.listening.lanes import Lanes
from kopuro_client.listening.stopping import Stopping
from kopuro_client.listening.target import NotAcceptedError, Target
from kopuro_client.paging import LONGEST_WAIT
from kopuro_client.records import Message
from kopuro_client.resources.mailbox import Mailbox

_SHORTEST_SLEEP: Final = 0.05
_LARGEST_PAGE: Final = 200
# Seconds after which the mailbox is read although something can be sent: retries may take all the time.
_LONGEST_UNREAD: Final = 1.0
# Most offers read ahead when the lanes are full: an offer is useless after its deadline.
_OFFERS: Final = "offer.opened"
_MOST_AHEAD: Final = 1000


class Listener:
    """Reads a mailbox, delivers each message and acknowledges it after the target has accepted it.

    At least once: if this process or a link fails between the two, the message is delivered again, with the
    same id. A message that is not accepted stays in the mailbox, and a restart delivers it again. hub: a
    client whose retries outlast any outage and whose sleep is `stopping.sleep`. note: called with a sentence
    for people. clock: seconds, monotonic. lost: returns how many of them outages of the hub have taken so far
    (`Transport.lost`): an outage does not count as time without a message.
    """

    def __init__(
        self,
        hub: Mailbox,
        target: Target,
        *,
        stopping: Stopping,
        note: Callable[[str], None],
        lost: Callable[[], float],
        consumer: str | None = None,
        types: Sequence[str] = (),
        lanes: Lanes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._target = target
        self._stopping = stopping
        self._note = note
        self._consumer = consumer
        self._types = types
        self._lanes = Lanes() if lanes is None else lanes
        self._clock = clock
        self._lost = lost
        self._after: str | None = None
        self._quiet_since = self._answering()
        self._read_at = -math.inf
        # Offers that were read ahead and are not accepted, and where they are read next.
        self._ahead: set[str] = set()
        self._ahead_after: str | None = None

    @property
    def held(self) -> int:
        """How many messages were read and not accepted. They are still in the mailbox."""
        return len(self._lanes)

    def run(self, *, quiet_for: float = math.inf) -> None:
        """Carry messages until none has come for `quiet_for` seconds and all that came are accepted.

        Only the time counts in which the hub answered: during an outage nobody knows whether messages wait.
        Raises Stopped on SIGTERM, between two messages, and what the client raises.
        """
        self._quiet_since = self._answering()
        while self.held or self._answering() - self._quiet_since < quiet_for:
            now = self._clock()
            message = self._lanes.due(now)
            if message is None or now - self._read_at > _LONGEST_UNREAD:
                self._read(quiet_for)
            else:
                self._carry(message)

    def _answering(self) -> float:
        """Return the clock without the seconds that outages of the hub have taken."""
        return self._clock() - self._lost()

    def _carry(self, message: Message) -> None:
        """Deliver one message and acknowledge it; SIGTERM waits meanwhile."""
        try:
            self._target.deliver(message)
        except NotAcceptedError as reason:
            failures = self._lanes.failed(self._clock(), refused=reason.is_refusal)
            # The first, second, fourth, eighth ... failure, so that a long one does not fill a log.
            if failures & (failures - 1) == 0:
                self._note(
                    f"{_named(message)} is not accepted ({reason}), attempt {failures}; it stays in the "
                    "mailbox and is tried again; later messages of its referral wait"
                )
        else:
            try:
                self._hub.acknowledge(message["id"], consumer=self._consumer)
            except RefusedError as error:
                # For example, another program acknowledged the message and the hub deleted it.
                self._note(f"{_named(message)} was accepted, but its acknowledgement was refused: {error}")
            self._ahead.discard(message["id"])
            if failures := self._lanes.accepted():
                attempts = "1 failed attempt" if failures == 1 else f"{failures} failed attempts"
                self._note(f"{_named(message)} is accepted after {attempts}")
        if self._stopping.requested:
            self._stopping.sleep(0)

    def _read(self, quiet_for: float) -> None:
        """Read more messages; wait for them for as long as nothing can be sent."""
        now = self._clock()
        left = self._quiet_since + quiet_for - self._answering()
        longest = LONGEST_WAIT if self.held else min(LONGEST_WAIT, left)
        wait = self._lanes.wait(now, max(0.0, longest))
        hold = int(wait)
        if self._lanes.free:
            with self._stopping.interruptible():
                page = self._hub.mailbox(
                    after=self._after,
                    limit=min(_LARGEST_PAGE, self._lanes.free),
                    wait=hold,
                    types=self._types,
                    consumer=self._consumer,
                )
            self._read_at = self._clock()
            self._after = page.get("resume") or self._after
            for message in page["items"]:
                if message["id"] not in self._ahead:
                    self._lanes.add(message)
            if page["items"]:
                self._quiet_since = self._answering()
            if page["items"] or hold or not wait:
                return
        else:
            self._read_ahead()
            if not wait:
                return
        self._stopping.sleep(max(_SHORTEST_SLEEP, min(1.0, wait)))

    def _read_ahead(self) -> None:
        """Read offers only, which other messages that are not accepted must not hold back."""
        self._read_at = self._clock()
        if len(self._ahead) >= _MOST_AHEAD or (self._types and _OFFERS not in self._types):
            return
        try:
            with self._stopping.interruptible():
                page = self._hub.mailbox(
                    after=self._ahead_after or self._after,
                    limit=_LARGEST_PAGE,
                    wait=0,
                    types=(_OFFERS,),
                    consumer=self._consumer,
                )
        except RefusedError as error:
            if error.status != 400:
                raise
            return  # the named consumer reads no offers
        self._ahead_after = page.get("resume") or self._ahead_after
        for message in page["items"]:
            self._ahead.add(message["id"])
            self._lanes.add(message)


def _named(message: Message) -> str:
    return f"message {message['id']} ({message['type']})"
