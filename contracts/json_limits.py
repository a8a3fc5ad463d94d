"""Limits on untrusted JSON, cheap enough to check before it is parsed or validated.

`orjson` parses a megabyte in milliseconds, but what follows (validation, error lists) costs microseconds and
hundreds of bytes for each value. So the bytes bound what is parsed, and the values what is validated.
"""

from __future__ import annotations

from typing import Any, Final

MAXIMUM_DEPTH: Final = 64
MOST_VALUES: Final = 10_000  # per document; the largest record of the sample network has some 300
SEPARATORS_PER_VALUE: Final = 10  # commas and opening brackets, also those in texts
# Bytes. A shorter document may consist of escapes. A longer one has sealed texts, which need none: eight
# megabytes of escapes would take some 60 ms, several times what as many other bytes take.
MOST_ESCAPES: Final = 1024 * 1024


def separators(text: bytes) -> int:
    """Return how many commas and opening brackets the text has: a document has at most one more values.

    A text with more than SEPARATORS_PER_VALUE for each permitted value is not worth parsing.
    """
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def has_too_many_escapes(text: bytes) -> bool:
    """Return whether the text has more than MOST_ESCAPES backslashes."""
    return len(text) > MOST_ESCAPES and text.count(b"\\") > MOST_ESCAPES


def is_too_large(document: Any, most_values: int = MOST_VALUES) -> bool:
    """Return whether a parsed document has more values than that. An object's member is one value."""
    count = 1
    for level in _levels(document):
        count += len(level)
        if count > most_values:
            return True
    return False


def is_too_deep(document: Any) -> bool:
    """Return whether arrays and objects are nested more than MAXIMUM_DEPTH deep."""
    return sum(1 for _ in _levels(document)) > MAXIMUM_DEPTH


def _levels(document: Any) -> Any:
    """Yield the values inside arrays and objects, level by level; an empty array has an empty level."""
    containers = [document] if isinstance(document, dict | list) else []
    while containers:
        level: list[Any] = []
        for container in containers:
            level.extend(container.values() if isinstance(container, dict) else container)
        yield level
        containers = [value for value in level if isinstance(value, dict | list)]
