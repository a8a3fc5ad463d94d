"""The background work with submissions: taken from the broker, and processed for each organisation apart."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from contracts.errors import Unavailable
from runtime.background import Spawn
from services.gateway.domain.in_hand import may_begin, to_hand_back
from services.gateway.submission_processor import Received, SubmissionProcessor, Verdict

_log = logging.getLogger(__name__)

TAKE_SECONDS: Final = 1.0
# Pauses while the broker or the hub is unavailable: doubled up to the longest.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
# Not settled: tried again, before later submissions of the organisation.
_HELD: Final = frozenset({Verdict.retried, Verdict.paced})
# How often a batch that waits for the bytes that it needs may be passed over for later ones.
_MOST_OVERTAKEN: Final = 8
# Organisations whose submissions are processed at a time.
_MOST_AT_ONCE: Final = 64
# Seconds after which others no longer wait for a batch, and between two looks while one is processed.
_SLOW_SECONDS: Final = 0.25
_BUSY_SECONDS: Final = 0.05


class Submissions(Protocol):
    """The queue of submissions. `take`, `settle` and `hand_back` raise BrokerUnavailable.

    dead_letters, waiting: how many submissions became dead letters, and how many of each organisation nobody
    has taken yet, as last counted.
    """

    dead_letters: int
    waiting: dict[str, int]

    def take(self, seconds: float) -> list[tuple[int, Received]]:
        """Return submissions with their tags; none if none arrives in time."""
        ...

    def settle(self, verdicts: list[tuple[int, Verdict]]) -> None:
        """Acknowledge, requeue or dead-letter submissions by tag."""
        ...

    def hand_back(self, organization: str, tags: Sequence[int]) -> None:
        """Requeue all submissions of an organisation that are not being processed, by tag, in order.

        `take` returns none of it for some seconds.
        """
        ...

    def close(self) -> None:
        """Close the connection; what is not settled is delivered again."""
        ...


@dataclass(slots=True)
class _Lane:
    """The submissions of one organisation that are taken and not settled, in order, by tag.

    until: nothing is processed earlier. failures: how often the hub was unavailable for it in a row.
    is_paced: it has used up its rate. is_busy: a batch of it is being processed, of `processed` bytes.
    overtaken: how often its batch was passed over, because too few bytes were free for it.
    """

    taken: list[tuple[int, Received]] = field(default_factory=list)
    until: float = 0.0
    failures: int = 0
    is_paced: bool = False
    is_busy: bool = False
    processed: int = 0
    overtaken: int = 0

    def hold(self, tag: int, received: Received) -> None:
        """Add a submission that was taken."""
        self.taken.append((tag, received))

    @property
    def waiting(self) -> int:
        """Return the bytes that wait to be processed."""
        return sum(len(received.body) for _, received in self.taken)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """A batch of an organisation that was processed. link: the number of the connection it came by."""

    organization: str
    batch: list[tuple[int, Received]]
    verdicts: list[Verdict]
    link: int


class SubmissionWork:
    """Takes submissions and settles them (`application.Background`).

    Every organisation is processed separately and pauses separately: one for which the hub is slow or
    unavailable delays no other. Unsettled submissions stay in memory, and the broker sends no more of an
    organisation than `take` may have at a time: the others wait in its queue and are never refused. All
    unsettled submissions together are bounded in bytes (`domain.in_hand`).
    """

    def __init__(
        self,
        submissions: Submissions,
        processor: SubmissionProcessor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds from any origin."""
        self._submissions = submissions
        self._processor = processor
        self._clock = clock
        self._waiting_since: float | None = None
        self._lanes: dict[str, _Lane] = {}
        self._done: list[_Done] = []
        self._one_done = threading.Event()
        self._link = 0
        self._spawn: Spawn | None = None
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._fault: str | None = "The partners' broker is not connected yet."

    def unready(self) -> str | None:
        """Return why no submissions are taken; None when they are."""
        return self._fault

    def dead_letters(self) -> int:
        """Return how many submissions were set aside."""
        return self._submissions.dead_letters

    def waiting_seconds(self) -> float:
        """Return for how long submissions have waited without a pause; 0 while none waits.

        A submission waits if the hub was unavailable for it, or if a queue holds more than one batch. Those
        of an organisation that has used up its rate do not count.
        """
        return 0.0 if self._waiting_since is None else self._clock() - self._waiting_since

    def alarm(self) -> str | None:
        """Return a warning while submissions are set aside."""
        number = self._submissions.dead_letters
        return f"{number} submissions in submissions.parked have no answer." if number else None

    def start(self, spawn: Spawn) -> None:
        """See `runtime.background.Background`."""
        self._spawn = spawn
        self._ended.clear()
        spawn(self._run)

    def stop(self) -> None:
        """See `runtime.background.Background`."""
        self._stopping.set()
        self._ended.wait()
        self._submissions.close()

    def turn(self) -> frozenset[Verdict]:
        """Take submissions, begin to process them, and settle what is done; return its verdicts."""
        try:
            is_busy = any(lane.is_busy for lane in self._lanes.values())
            self._take(_BUSY_SECONDS if is_busy else TAKE_SECONDS)
            self._wait_for(self._begin_due())
            self._hand_back()
            verdicts = self._settle_done()
        except Unavailable:
            # The connection is lost, and the tags with it: the broker delivers these again.
            self._link += 1
            self._lanes = {
                name: _Lane(is_busy=True, processed=lane.processed)
                for name, lane in self._lanes.items()
                if lane.is_busy
            }
            raise
        self._note_waiting(any(lane.failures for lane in self._lanes.values()) or self._others_wait())
        return verdicts

    def _take(self, seconds: float) -> None:
        for tag, received in self._submissions.take(seconds):
            self._lanes.setdefault(received.organization, _Lane()).hold(tag, received)
        self._fault = None

    def _hand_back(self) -> None:
        """Requeue submissions beyond the bound in bytes; pauses and failures of organisations stay known."""
        waiting = {name: lane.waiting for name, lane in self._lanes.items()}
        for organization in to_hand_back(waiting, self._processed()):
            lane = self._lanes[organization]
            taken, lane.taken = lane.taken, []
            self._submissions.hand_back(organization, [tag for tag, _ in taken])
            _log.warning(
                "submissions requeued: too many bytes are in memory",
                extra={"organization": organization, "count": len(taken)},
            )

    def _processed(self) -> int:
        return sum(lane.processed for lane in self._lanes.values())

    def _begin_due(self) -> set[str]:
        """Begin to process the batches that are due; return their organisations."""
        now, begun, processed = self._clock(), set(), self._processed()
        # Requeued, and its pause is over: its lane is made again when more of it is taken.
        for name in [name for name, lane in self._lanes.items() if not (lane.taken or lane.is_busy)]:
            if self._lanes[name].until <= now:
                del self._lanes[name]
        places = _MOST_AT_ONCE - sum(lane.is_busy for lane in self._lanes.values())
        due = [name for name, lane in self._lanes.items() if lane.taken and not lane.is_busy]
        for organization in [name for name in due if self._lanes[name].until <= now][:places]:
            size = self._lanes[organization].waiting
            if not may_begin(size, processed):
                self._lanes[organization].overtaken += 1
                if self._lanes[organization].overtaken > _MOST_OVERTAKEN:
                    break  # otherwise small batches could keep it from its turn without end
                continue  # it stays before the others
            processed += size
            # At the end of the order, so that organisations take turns at the places.
            lane = self._lanes[organization] = self._lanes.pop(organization)
            lane.is_busy, lane.processed, batch, lane.taken = True, size, lane.taken, []
            lane.overtaken = 0
            begun.add(organization)
            process = partial(self._process, organization, batch, self._link)
            if self._spawn is None:
                process()
            else:
                self._spawn(process)
        return begun

    def _process(self, organization: str, batch: list[tuple[int, Received]], link: int) -> None:
        verdicts = [Verdict.retried] * len(batch)
        try:
            verdicts = self._processor.process([received for _, received in batch])
        except Exception:  # noqa: BLE001 - the fault of one batch must not end the others
            _log.error("submissions could not be processed", exc_info=True)
        finally:
            self._done.append(_Done(organization=organization, batch=batch, verdicts=verdicts, link=link))
            self._one_done.set()

    def _wait_for(self, begun: set[str]) -> None:
        """Wait until these batches are processed, for a short time at most, to settle them in this turn."""
        deadline = time.monotonic() + _SLOW_SECONDS
        while not begun <= {done.organization for done in self._done}:
            self._one_done.clear()
            if begun <= {done.organization for done in self._done}:
                return
            if (left := deadline - time.monotonic()) <= 0 or not self._one_done.wait(left):
                return

    def _settle_done(self) -> frozenset[Verdict]:
        done, self._done = self._done, []
        settled: list[tuple[int, Verdict]] = []
        verdicts: set[Verdict] = set()
        for one in done:
            lane = self._lanes[one.organization]
            lane.is_busy, lane.processed = False, 0
            if one.link != self._link:
                continue  # delivered again
            verdicts |= set(one.verdicts)
            judged = list(zip(one.batch, one.verdicts, strict=True))
            held = [each for each, verdict in judged if verdict in _HELD]
            settled += [(tag, verdict) for (tag, _), verdict in judged if verdict not in _HELD]
            self._hold(one.organization, lane, held, set(one.verdicts))
            if not lane.taken:
                del self._lanes[one.organization]
        if settled:
            self._submissions.settle(settled)
        return frozenset(verdicts)

    def _hold(
        self, organization: str, lane: _Lane, held: list[tuple[int, Received]], verdicts: set[Verdict]
    ) -> None:
        """Put submissions that are tried again before later ones, and let the organisation pause."""
        lane.taken = held + lane.taken
        lane.is_paced = Verdict.paced in verdicts
        if Verdict.retried in verdicts:
            lane.failures = 1 if Verdict.answered in verdicts else lane.failures + 1
            pause = min(_FIRST_PAUSE * 2.0 ** min(lane.failures - 1, 30), _LONGEST_PAUSE)
        else:
            lane.failures, pause = 0, self._processor.paces.get(organization, 0.0) if lane.is_paced else 0.0
        lane.until = self._clock() + pause

    def _others_wait(self) -> bool:
        paced = {name for name, lane in self._lanes.items() if lane.is_paced}
        return any(number for name, number in self._submissions.waiting.items() if name not in paced)

    def _note_waiting(self, waits: bool) -> None:
        if not waits:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self._clock()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while not self._stopping.is_set():
                try:
                    self.turn()
                    pause = _FIRST_PAUSE
                except Unavailable as error:
                    self._fault = str(error)
                    _log.warning("submissions cannot be consumed", extra={"reason": str(error)})
                    self._stopping.wait(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
            self._finish()
        finally:
            self._ended.set()

    def _finish(self) -> None:
        """Settle the submissions that are being processed: each request has a deadline of its own."""
        while True:
            try:
                self._settle_done()
            except Unavailable as error:
                _log.warning("submissions will be redelivered", extra={"reason": str(error)})
            if not any(lane.is_busy for lane in self._lanes.values()):
                return
            self._one_done.wait()
            self._one_done.clear()
