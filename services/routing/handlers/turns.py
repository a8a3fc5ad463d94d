"""Splits long loops of routing's queries into turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from runtime.turn import Turn

T = TypeVar("T")


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and let messages and other requests be processed between them."""
    turn = Turn()
    for item in items:
        yield item
        turn.end_if_over()
