"""Counts the errors of one document while it is read: reading ends when there are as many as are shown.

A record has lists of records with lists of their own: bounds for each list would permit their product.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from contracts.field_errors import MOST_ERRORS


class ErrorBudget:
    """How many more errors of a document are shown."""

    def __init__(self) -> None:
        self.left = MOST_ERRORS

    def spend(self, messages: Any) -> None:
        """Count marshmallow's messages of an object or an item. An inner object's were counted with it."""
        if isinstance(messages, dict):
            self.left -= sum(not isinstance(inner, dict) for inner in messages.values())
        else:
            self.left -= 1


_current: ContextVar[ErrorBudget | None] = ContextVar("error_budget", default=None)


@contextmanager
def one_document() -> Iterator[None]:
    """Count the errors inside as those of one document."""
    token = _current.set(ErrorBudget())
    try:
        yield
    finally:
        _current.reset(token)


def current() -> ErrorBudget:
    """Return the budget of the document that is read; outside `one_document`, a new one."""
    return _current.get() or ErrorBudget()
