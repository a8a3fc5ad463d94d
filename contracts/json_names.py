"""Detection of duplicate member names, which JSON parsers interpret differently (RFC 8259 §4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

_BACKSLASH = ord("\\")

Path = tuple[str | int, ...]


def repeated_name(text: bytes, document: Any) -> Path | None:
    """Return the path of a duplicate member; None when every name is unique within its object.

    document: the value that orjson parsed from `text`; orjson silently keeps the last duplicate. Raises
    ValueError for a document nested more than 250 levels deep.
    """
    # Encode the parsed document again and compare the number of colons: one for each member, plus those in
    # texts. A dropped duplicate lowers the second count. Only an escaped colon can raise it, so texts with
    # one take the slow path. Counting is ten times faster than comparing every name.
    try:
        is_plain = _BACKSLASH not in text or b"\\u003" not in text
        if is_plain and text.count(b":") == orjson.dumps(document).count(b":"):
            return None
        orjson.dumps(
            document
        )  # refuses what is nested too deep; the limit of `json` depends on Python's version
        parsed = json.loads(text, object_pairs_hook=_object)
    except (TypeError, RecursionError):
        raise ValueError("the document is nested too deep") from None
    return next((path for path, value in walk(parsed) if isinstance(value, _Repeated)), None)


def walk(document: Any) -> Iterator[tuple[Path, Any]]:
    """Yield every value of a JSON document with its path, in the order of the document."""
    pending: list[tuple[Path, Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        yield path, value
        if isinstance(value, dict):
            pending.extend(((*path, name), value[name]) for name in reversed(value))
        elif isinstance(value, list):
            pending.extend(((*path, index), value[index]) for index in reversed(range(len(value))))


class _Repeated:
    """Marks the value of a duplicate member."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = _Repeated() if name in members else value
    return members
