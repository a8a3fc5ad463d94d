"""Group commit: concurrent callers share one transaction, and so one fsync.

The first caller becomes the leader: it applies the commands of all waiting callers in one transaction and
gives each its own result. Callers that arrive meanwhile form the next group. There is no timer: a single
caller commits at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from sqlalchemy import Connection

from contracts.errors import Defect, KopuroError, Unavailable
from runtime.storage.database import Database, DatabaseUnavailable

C = TypeVar("C")
R = TypeVar("R")

# apply(connection, commands) -> for each command its result, or the error of that command alone
Apply = Callable[[Connection, Sequence[C]], Sequence[R | KopuroError]]


class _Waiting(Generic[C, R]):
    __slots__ = ("command", "done", "error", "result")

    def __init__(self, command: C) -> None:
        self.command = command
        self.done = threading.Event()
        self.result: R | None = None
        # Remains when the leader is killed before it sets a result.
        self.error: BaseException | None = Unavailable("The commit was interrupted.")


class GroupCommit(Generic[C, R]):
    """A group commit, safe to call from any number of threads or greenlets, but not from within `apply`."""

    def __init__(
        self,
        database: Database,
        apply: Apply[C, R],
        *,
        after_commit: Callable[[], None],
        weigh: Callable[[C], int] = lambda _command: 1,
        most: int = 256,
        bound: int = 5_000,
    ) -> None:
        """most: weight of a transaction's commands, unless a single one weighs more.

        bound: waiting callers, above which further ones are refused. after_commit: called once per
        transaction; must not raise.
        """
        self._database = database
        self._apply = apply
        self._after_commit = after_commit
        self._weigh = weigh
        self._most = most
        self._bound = bound
        self._waiting: deque[_Waiting[C, R]] = deque()
        self._leading = threading.Lock()

    def submit(self, command: C) -> R:
        """Apply the command; return its result when its transaction is committed.

        Raises the KopuroError that `apply` returned for this command, Unavailable when the database is
        unavailable or too many callers wait, and any exception of `apply` on this command alone.
        """
        if len(self._waiting) >= self._bound:
            raise Unavailable("Too many requests are waiting.", retry_after=1)
        mine = _Waiting[C, R](command)
        self._waiting.append(mine)
        # Let callers that are ready to run join this group before it closes.
        time.sleep(0)
        while not mine.done.is_set():
            with self._leading:
                # A leader finishes its whole group before it releases the lock: not done means still waiting.
                if not mine.done.is_set():
                    self._database.await_writer()
                    self._lead()
        if mine.error is not None:
            raise mine.error
        return cast(R, mine.result)

    def _lead(self) -> None:
        group = [self._waiting.popleft()]
        weight = self._weigh(group[0].command)
        # A transaction blocks the process on SQLite, so one with many large commands would delay everybody.
        while self._waiting and (weight := weight + self._weigh(self._waiting[0].command)) <= self._most:
            group.append(self._waiting.popleft())
        try:
            self._commit(group)
        except DatabaseUnavailable as error:
            _fail(group, error)
        except Exception:  # noqa: BLE001 - one bad command must not fail the others: apply each alone
            for waiting in group:
                try:
                    self._commit([waiting])
                except Exception as error:  # noqa: BLE001 - raised in the command's caller
                    waiting.error = error
        finally:
            for waiting in group:
                waiting.done.set()

    def _commit(self, group: Sequence[_Waiting[C, R]]) -> None:
        with self._database.write() as connection:
            results = self._apply(connection, [waiting.command for waiting in group])
            if len(results) != len(group):
                raise Defect("A group commit did not return one result for each command.")
        # Committed, results not yet returned: after a crash here the callers do not know the outcome and
        # repeat their commands, which are repeatable. Nothing may raise below: the group would be applied
        # again.
        for waiting, result in zip(group, results, strict=True):
            if isinstance(result, KopuroError):
                waiting.error = result
            else:
                waiting.result, waiting.error = result, None
        self._after_commit()


def _fail(group: Sequence[_Waiting[C, R]], cause: DatabaseUnavailable) -> None:
    for waiting in group:
        # A separate exception for each caller: one raised by several threads collects all their tracebacks.
        error = DatabaseUnavailable(cause.detail, retry_after=cause.retry_after)
        error.__cause__ = cause
        waiting.error = error
