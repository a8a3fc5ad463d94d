"""Finds a JSON object that names a member twice, which readers understand differently (RFC 8259 §4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

Path = tuple[str | int, ...]


def repeated_name(text: bytes, document: Any) -> Path | None:
    """The path of a member that its object names more than once; None when every name is unique.

    document: what orjson has read from `text`; of two members orjson keeps the last without a word. Raises
    ValueError for a document of more than 250 levels.
    """
    # What orjson kept is written again and the colons counted: one for each member, and those in texts. A
    # member that was dropped is missing in the second count. An escaped colon is the one way by which the
    # second count could be the larger one. This costs microseconds where a look at every name costs ten times
    # as much.
    try:
        if b"\\u003" not in text and text.count(b":") == orjson.dumps(document).count(b":"):
            return None
        looked_at = json.loads(text, object_pairs_hook=_object)
    except (TypeError, RecursionError):
        raise ValueError("the document is too deep") from None
    return next((path for path, value in walk(looked_at) if isinstance(value, _Repeated)), None)


def walk(document: Any) -> Iterator[tuple[Path, Any]]:
    """Every value of a JSON document with its path."""
    pending: list[tuple[Path, Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        yield path, value
        if isinstance(value, dict):
            pending.extend(((*path, name), item) for name, item in value.items())
        elif isinstance(value, list):
            pending.extend(((*path, index), item) for index, item in enumerate(value))


class _Repeated:
    """Stands for the value of a name that is given more than once."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = _Repeated() if name in members else value
    return members
