"""The iteration that splits long work into turns. The domain takes it as a parameter and stays pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class InTurns(Protocol):
    """Iterates over the items; it may let other work run between two of them."""

    def __call__(self, items: Iterable[T], /) -> Iterable[T]: ...


def at_once(items: Iterable[T], /) -> Iterable[T]:
    """Iterate without a pause."""
    return items
