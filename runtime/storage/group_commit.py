"""Group commit: callers that arrive together share one transaction, and so one fsync.

The first caller leads: it takes everybody who is waiting, applies them in one transaction, and hands each
its own result. Who arrives meanwhile forms the next group. Nobody waits for a timer: alone, a caller
commits at once.
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

# apply(connection, commands) -> for each command its result, or the error that concerns it alone
Apply = Callable[[Connection, Sequence[C]], Sequence[R | KopuroError]]


class _Waiting(Generic[C, R]):
    __slots__ = ("command", "done", "error", "result")

    def __init__(self, command: C) -> None:
        self.command = command
        self.done = threading.Event()
        self.result: R | None = None
        # What stands here when the leader was killed before it could say anything else.
        self.error: BaseException | None = Unavailable("The commit was interrupted.")


class GroupCommit(Generic[C, R]):
    """Safe to call from any number of threads or greenlets, but not from within `apply`."""

    def __init__(
        self,
        database: Database,
        apply: Apply[C, R],
        *,
        after_commit: Callable[[], None],
        most: int = 256,
        bound: int = 5_000,
    ) -> None:
        """most: commands a transaction; bound: callers that may wait before further ones are refused.

        after_commit: called once a transaction; must not raise.
        """
        self._database = database
        self._apply = apply
        self._after_commit = after_commit
        self._most = most
        self._bound = bound
        self._waiting: deque[_Waiting[C, R]] = deque()
        self._leading = threading.Lock()

    def submit(self, command: C) -> R:
        """Returns when the command's transaction is committed.

        Raises the KopuroError that `apply` gave for this command, Unavailable when the database cannot
        be used or too many wait, and whatever `apply` raised when this command alone made it fail.
        """
        if len(self._waiting) >= self._bound:
            raise Unavailable("Too many submissions are waiting.", retry_after=1)
        mine = _Waiting[C, R](command)
        self._waiting.append(mine)
        # Lets the callers that are ready to run join this group before it closes.
        time.sleep(0)
        while not mine.done.is_set():
            with self._leading:
                # Whoever leads finishes its whole group before it lets go: not done means still waiting.
                if not mine.done.is_set():
                    self._lead()
        if mine.error is not None:
            raise mine.error
        return cast(R, mine.result)

    def _lead(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            self._commit(group)
        except DatabaseUnavailable as error:
            _fail(group, error)
        except Exception:  # noqa: BLE001 - one bad command must not fail its neighbours: each alone
            for waiting in group:
                try:
                    self._commit([waiting])
                except Exception as error:  # noqa: BLE001 - handed to the caller it belongs to
                    waiting.error = error
        finally:
            for waiting in group:
                waiting.done.set()

    def _commit(self, group: Sequence[_Waiting[C, R]]) -> None:
        with self._database.write() as connection:
            results = self._apply(connection, [waiting.command for waiting in group])
            if len(results) != len(group):
                raise Defect("A group commit lost count of its commands.")
        # Committed, not yet answered: a crash here leaves callers who do not know, and who ask again (their
        # commands are repeatable). From here on nothing may raise: the group would be applied again.
        for waiting, result in zip(group, results, strict=True):
            if isinstance(result, KopuroError):
                waiting.error = result
            else:
                waiting.result, waiting.error = result, None
        self._after_commit()


def _fail(group: Sequence[_Waiting[C, R]], cause: DatabaseUnavailable) -> None:
    for waiting in group:
        # One for each: an exception that several threads raise gathers all their tracebacks.
        error = DatabaseUnavailable(cause.detail, retry_after=cause.retry_after)
        error.__cause__ = cause
        waiting.error = error
