"""Ends waiting for a call when its time is up, whatever the call is waiting for.

Timeouts of sockets begin anew with every byte, and looking up a name has none: a server that sends its
answer byte by byte would be waited for without end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

T = TypeVar("T")


class Deadline:
    """Runs calls in threads of its own, which it uses again. Threads may share one.

    A call whose time is up goes on in its thread until it ends by itself; its result is dropped.
    """

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """The result of `call`. Raises what it raises; TimeoutError when it takes longer than `seconds`."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker()
        outcome = worker.run(call, seconds)
        # A worker whose call goes on is not kept: it ends with that call.
        self._idle.append(worker)
        if isinstance(outcome, _Raised):
            raise outcome.error
        return cast(T, outcome)


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_Job = tuple[Callable[[], object], "SimpleQueue[object]"]


class _Worker:
    """A thread that ends when nobody can give it work any more."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # The thread knows the queue only, so that it does not keep its owner alive.
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
        except BaseException as error:  # noqa: BLE001 - raised again where the call came from
            outcomes.put(_Raised(error))
        del job, call, outcomes  # what they hold is not kept until the next call
