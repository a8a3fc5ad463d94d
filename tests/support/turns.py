"""Turns that are counted and never end."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from runtime.turn import Turn


def count_turns(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the numbers of times that work lets others run, by the name of its function."""
    counted: Counter[str] = Counter()

    def count(_turn: Turn) -> None:
        counted[sys._getframe(1).f_code.co_name] += 1

    monkeypatch.setattr(Turn, "end_if_over", count)
    return counted
