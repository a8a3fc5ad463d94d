"""Supervision of a set of processes: restarts, and a stop in order."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol, Self

from sandbox.ending_signals import ENDING

logger = logging.getLogger(__name__)

_WATCH_INTERVAL = 0.1
_WAIT_STEP = 0.05


class Supervised(Protocol):
    """A process the supervisor can run. `spawn` and `ask_to_stop` return without waiting."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def spawn(self) -> None: ...
    def exit_code(self) -> int | None: ...
    def running(self) -> bool: ...
    def ask_to_stop(self) -> None: ...
    def wait(self, timeout: float) -> bool: ...
    def stop(self, timeout: float) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartPolicy:
    """Delays before a process is restarted; times in seconds."""

    first_delay: float = 0.2
    factor: float = 2.0
    longest_delay: float = 10.0
    settled_after: float = 30.0
    """A process that ran this long counts as healthy: its next exit counts as the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartDecision:
    """Restart after `delay` seconds; this is exit number `consecutive` in a row."""

    delay: float
    consecutive: int


def decide_restart(policy: RestartPolicy, *, exits_before: int, ran_for: float) -> RestartDecision:
    """Return when to restart a process after an unexpected exit.

    exits_before: early exits in a row before this one. ran_for: seconds the process had run.
    The first restart is quick, since a single crash is often an accident. The delay then grows, so that
    a process that cannot start does not take CPU time from the others. Restarts never stop: the missing
    resource (a disk, a database) may come back.
    """
    consecutive = 1 if ran_for >= policy.settled_after else exits_before + 1
    # The exponent is bounded: a long series of crashes would overflow a float.
    growth = policy.factor ** min(consecutive - 1, 64)
    delay = min(policy.longest_delay, policy.first_delay * growth)
    return RestartDecision(delay=delay, consecutive=consecutive)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessStatus:
    name: str
    pid: int | None
    running: bool
    restarts: int
    last_exit: int | None
    """The exit code of the last unexpected end (negative: the signal); None if there was none."""


@dataclass(slots=True)
class _Watch:
    process: Supervised
    started_at: float = 0.0
    restarts: int = 0
    consecutive: int = 0
    last_exit: int | None = None
    due: float | None = None


class Supervisor:
    """Runs processes in stages: `Supervisor([[broker], [intake, routing, ...]])`.

    Stages start in order and stop in reverse order; the processes of one stage stop together. A process
    that ends unexpectedly is restarted after a delay (see `decide_restart`). `start` only spawns the
    processes; the caller waits for their readiness.

    As a context manager it starts on entry and stops on exit. Start it from a thread that lives until
    `stop` (the main thread), since children die with the thread that spawned them.
    """

    def __init__(
        self, stages: Sequence[Sequence[Supervised]], *, policy: RestartPolicy | None = None
    ) -> None:
        self._stages = [[_Watch(process) for process in stage] for stage in stages]
        self._policy = policy or RestartPolicy()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Spawn every process that does not run yet, and watch them.

        Raises OSError when a program cannot be executed; call `stop` then, or use `with`.
        """
        if self._stopping.is_set():
            raise RuntimeError("a supervisor can be started only once: create a new one")
        with self._lock:
            for watch in self._watches():
                watch.process.spawn()
                watch.started_at = time.monotonic()
        watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        watcher.start()
        # Only now: an interrupted `start` must not leave a thread that `stop` cannot join.
        self._watcher = watcher

    def stop(self, within: float = 15.0) -> None:
        """Stop every process, last stage first, in at most about `within` seconds.

        Each stage gets an equal share of the remaining time; then its processes are killed.
        """
        self._stopping.set()
        deadline = time.monotonic() + within
        try:
            with self._lock:
                for left in range(len(self._stages), 0, -1):
                    share = (deadline - time.monotonic()) / left
                    self._stop_stage(self._stages[left - 1], max(0.0, share))
        finally:
            # Processes still run here only if a second Ctrl-C interrupted the loop above.
            for watch in self._watches():
                watch.process.kill()
            # The watching thread may end only now: the kernel kills its children with it.
            self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()

    def status(self) -> tuple[ProcessStatus, ...]:
        """Return the status of each process, in the order of starting."""
        return tuple(
            ProcessStatus(
                name=watch.process.name,
                pid=watch.process.pid,
                running=watch.process.running(),
                restarts=watch.restarts,
                last_exit=watch.last_exit,
            )
            for watch in self._watches()
        )

    def run_until_signalled(self, within: float = 15.0) -> signal.Signals:
        """Wait for SIGTERM or SIGINT, stop every process and return the signal. Main thread only.

        A second signal kills the remaining processes at once.
        """
        received: list[signal.Signals] = []
        arrived = threading.Event()

        def note(number: int, frame: FrameType | None) -> None:
            if received:
                self._hurry.set()
            received.append(signal.Signals(number))
            arrived.set()

        previous = {number: signal.signal(number, note) for number in ENDING}
        try:
            arrived.wait()
            self.stop(within)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return received[0]

    def _watches(self) -> Iterator[_Watch]:
        for stage in self._stages:
            yield from stage

    def _stop_stage(self, stage: Sequence[_Watch], share: float) -> None:
        deadline = time.monotonic() + share
        for watch in stage:
            watch.process.ask_to_stop()
        for watch in stage:
            while not watch.process.wait(_WAIT_STEP):
                if self._hurry.is_set() or time.monotonic() > deadline:
                    logger.warning("%s did not stop in time; killing it", watch.process.name)
                    watch.process.kill()
            # This also releases other resources, such as the lock on a directory.
            watch.process.stop(0.0)

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_INTERVAL):
            for watch in self._watches():
                with self._lock:
                    if self._stopping.is_set():
                        break
                    self._check(watch, time.monotonic())
        self._stopped.wait()

    def _check(self, watch: _Watch, now: float) -> None:
        if watch.process.running():
            return
        if watch.due is None:
            decision = decide_restart(
                self._policy, exits_before=watch.consecutive, ran_for=now - watch.started_at
            )
            watch.last_exit = watch.process.exit_code()
            watch.consecutive = decision.consecutive
            watch.due = now + decision.delay
            logger.warning(
                "%s ended with status %s; restarting it in %.1f s",
                watch.process.name,
                watch.last_exit,
                decision.delay,
            )
        elif now >= watch.due:
            watch.due = None
            watch.started_at = now
            try:
                watch.process.spawn()
                watch.restarts += 1
            except OSError as error:  # a full disk, most likely: one line is enough
                logger.warning("cannot start %s: %s", watch.process.name, error.strerror or error)
            except Exception:  # a failed spawn counts as an exit and must not end the supervisor
                logger.exception("cannot start %s", watch.process.name)
