"""A time limit for a whole call, whatever the call is waiting for.

Socket timeouts restart with every byte, and name resolution has none. Without a limit for the whole call, a
server that sends its response byte by byte could keep the caller waiting forever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

T = TypeVar("T")


class Deadline:
    """Runs calls in reusable worker threads. Threads may share one.

    A call that exceeds its limit continues in its thread until it ends by itself; its result is dropped.
    """

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Return the result of `call`. Raises what it raises, or TimeoutError after `seconds`."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker()
        outcome = worker.run(call, seconds)
        # Not reached after a timeout: that worker is not reused and ends with its call.
        self._idle.append(worker)
        if isinstance(outcome, _Raised):
            raise outcome.error
        return cast(T, outcome)


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_Job = tuple[Callable[[], object], "SimpleQueue[object]"]


class _Worker:
    """A thread that ends when its owner is garbage-collected."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # The thread references only the queue, so that it does not keep its owner alive.
        threading.Thread(target=_work, args=(self._jobs,), name="kopuro-client", daemon=True).start()

    def __del__(self) -> None:
        self._jobs.put(None)

    def run(self, call: Callable[[], object], seconds: float) -> object:
        outcomes: SimpleQueue[object] = SimpleQueue()
        self._jobs.put((call, outcomes))
        try:
            return outcomes.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        call, outcomes = job
        try:
            outcomes.put(call())
        except BaseException as error:  # noqa: BLE001 - re-raised in the caller's thread
            outcomes.put(_Raised(error))
        del job, call, outcomes  # so that they are not kept alive until the next call
