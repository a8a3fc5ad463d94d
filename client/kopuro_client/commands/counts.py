"""Numbers with their nouns, in the outputs of commands."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 entry`, `2,000 entries`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
